// The pages of an admin: buttons that write, and figures that follow the votes.

import { post } from "./api.js";
import { newKey } from "./outbox.js";

const EVERY_MS = 4_000;
const byId = (id) => document.getElementById(id);

// What has changed on the server, in place of what is shown; the focus stays where it was.
async function refresh() {
  const response = await fetch(location.pathname);
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const [now, next] = [byId("live"), page.getElementById("live")];
  if (now.innerHTML === next.innerHTML) return;
  const focused = now.contains(document.activeElement) ? document.activeElement.id : "";
  now.replaceWith(next);
  if (focused) byId(focused)?.focus();
}

async function write(path, content) {
  try {
    const answer = await post(path, content);
    byId("trouble").hidden = true;
    return answer;
  } catch (trouble) {
    byId("trouble-why").textContent = trouble.message;
    byId("trouble").hidden = false;
    return null;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { rule, item, annotator, excluded } = button.dataset;
  if (rule !== undefined) {
    const ruling = { item: Number(item), choice: rule, note: "", request: newKey() };
    if (await write("/api/rulings", ruling)) await refresh();
  } else if (annotator !== undefined) {
    const content = { annotator: Number(annotator), is_excluded: excluded === "1", reason: "by hand" };
    if (await write("/api/exclusions", content)) await refresh();
  }
});

byId("invite")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await write("/api/invitations", { name: byId("invite-name").value });
  if (!answer) return;
  const link = document.createElement("code");
  link.textContent = answer.link;
  byId("invited").replaceChildren(`For ${answer.name}, opens once: `, link);
  event.target.reset();
});

if (byId("live").hasAttribute("data-live")) {
  // A page that nobody looks at asks nothing; one that cannot ask tries again.
  setInterval(() => document.hidden || refresh().catch(() => {}), EVERY_MS);
}
