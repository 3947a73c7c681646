// The labelling page: shows a pair, takes a decision, and has the next pair at hand.

import { Trouble, post } from "./api.js";
import { differences } from "./differences.js";
import { actionOf, isTyping } from "./keys.js";
import { Outbox } from "./outbox.js";
import { LongPrompt } from "./prompt.js";
import { Remarks } from "./remarks.js";
import { scrollInStep } from "./scroll.js";

// Keys that bounce, or a second press meant for the pair before, must not vote on an unread pair.
const BREATH_MS = 150;
const RETRY_MS = 2_000;
// How often a page without a pair asks for one, and how often one with a pair keeps its place.
const ASK_MS = 8_000;
const KEEP_MS = 120_000;
const SAID = {
  left: "Response 1 is better", right: "Response 2 is better", tie: "Tie", both_bad: "Both bad",
  skip: "Skipped",
};
const UNDO = "/api/undo";

const byId = (id) => document.getElementById(id);
const texts = { left: byId("left-text"), right: byId("right-text") };
const buttons = [...document.querySelectorAll("[data-action]")];
const asked = new LongPrompt(byId("prompt"), byId("whole"), document.body);
const remarks = new Remarks((id, remark) => outbox.add("/api/remarks", { question: id, ...remark }));
const outbox = new Outbox(document.body.dataset.outbox, { saved, failed, refused });

let current = null;
let ahead = [];
let standing = null;
let shownAt = 0;
let isMarking = false;

function have() {
  return [current, ...ahead].filter(Boolean).map((question) => question.id);
}

// What the server has given: pairs that are not here yet, and how far the work is.
function take(answer) {
  const waiting = outbox.questions();
  for (const question of answer.questions) {
    const isNew = !have().includes(question.id) && !waiting.has(question.id);
    if (isNew) ahead.push(question);
  }
  standing = answer.standing;
  if (!current) showNext();
  showStanding();
}

async function load() {
  try {
    take(await post("/api/questions", { have: have() }));
    calm();
  } catch (trouble) {
    alarm("Pairs cannot be fetched.", trouble);
    if (!trouble.lasting) setTimeout(load, RETRY_MS);
  }
}

function showNext() {
  current = ahead.shift() ?? null;
  const isEmpty = current === null;
  byId("question").hidden = isEmpty;
  byId("waiting").hidden = !isEmpty || outbox.size === 0;
  byId("finished").hidden = !isEmpty || outbox.size > 0;
  if (!isEmpty) show(current);
  enable();
}

function show(question) {
  byId("prompt").replaceChildren(...question.prompt.map(turn));
  showTexts(question);
  for (const side of ["left", "right"]) {
    const names = question.named[side];
    const badge = byId(`${side}-named`);
    badge.hidden = names.length === 0;
    badge.title = names.join(" · ");
  }
  byId("same").hidden = question.left.split(/\s+/).join(" ") !== question.right.split(/\s+/).join(" ");
  remarks.show(question);
  const panes = byId("question");
  panes.classList.remove("arrive");
  void panes.offsetWidth;
  panes.classList.add("arrive");
  asked.begin();
  for (const text of Object.values(texts)) text.scrollTop = 0;
  if (innerWidth < 700) scrollTo(0, 0);
  shownAt = performance.now();
}

function turn({ who, text }) {
  const block = document.createElement("div");
  block.className = "turn";
  if (who) {
    const head = document.createElement("p");
    head.className = "who";
    head.textContent = who;
    block.append(head);
  }
  const said = document.createElement("div");
  said.className = "said";
  said.dir = "auto";
  said.textContent = text;
  block.append(said);
  return block;
}

function showTexts(question) {
  const sides = isMarking ? differences(question.left, question.right) : null;
  byId("too-long").hidden = !(isMarking && sides === null);
  ["left", "right"].forEach((side, number) => {
    if (sides === null) {
      texts[side].textContent = question[side];
      return;
    }
    texts[side].replaceChildren(...sides[number].flatMap(({ text, isOnly }) => {
      if (!isOnly || !text.trim()) return document.createTextNode(text);
      const mark = document.createElement("mark");
      mark.textContent = text.trimEnd();
      return [mark, document.createTextNode(text.slice(mark.textContent.length))];
    }));
  });
}

function decide(choice) {
  if (!current || performance.now() - shownAt < BREATH_MS) return;
  const decided = current;
  const content = {
    question: decided.id,
    choice,
    latency_ms: Math.round(performance.now() - shownAt),
    have: ahead.map((question) => question.id),
  };
  say(SAID[choice]);
  current = null;
  outbox.add("/api/decisions", content);
  showNext();
}

// By way of the outbox: an answer that is lost is asked for again, and takes back nothing more.
function undo() {
  if (!standing?.can_undo) return;
  if (outbox.size) {
    say("Not saved yet; undo when it is");
    return;
  }
  outbox.add(UNDO, {});
}

function undone(answer) {
  const waiting = outbox.questions();
  const back = answer.questions.filter((question) => !waiting.has(question.id));
  const ids = new Set(back.map((question) => question.id));
  ahead = [...back, ...[current, ...ahead].filter((one) => one && !ids.has(one.id))];
  standing = answer.standing;
  showNext();
  showStanding();
  say("Taken back; decide again");
}

function saved(entry, answer) {
  if (entry.path === "/api/remarks") {
    calm();
    say("Remark saved");
    return;
  }
  calm();
  if (entry.path === UNDO) {
    undone(answer);
    return;
  }
  byId("last-state").textContent = "· saved";
  if (answer.message) say(answer.message);
  take(answer);
}

function failed(entry, trouble) {
  byId("last-state").textContent = "· not saved";
  const what = entry.path === UNDO ? "Not taken back yet." : "Not saved yet.";
  alarm(what, trouble, "It is kept in this browser and sent again until it is saved.");
}

function refused(entry, trouble) {
  alarm(entry.path === UNDO ? "Nothing was undone." : "Not counted.", trouble);
  if (current?.id === entry.content.question) current = null;
  load();
}

function say(text) {
  byId("last").textContent = text;
  byId("last-state").textContent = outbox.size ? "· saving" : "";
}

function alarm(what, trouble, then = "") {
  byId("trouble-what").textContent = what;
  byId("trouble-why").textContent = `${trouble.message} ${then}`;
  byId("trouble").hidden = false;
  byId("try").hidden = trouble instanceof Trouble && trouble.lasting;
}

function calm() {
  if (outbox.size === 0) byId("trouble").hidden = true;
}

function showStanding() {
  const { done, total, mine } = standing;
  byId("count").textContent = `${done} of ${total} ${total === 1 ? "vote" : "votes"}`;
  const bar = byId("bar");
  bar.max = Math.max(total, 1);
  bar.value = done;
  byId("finished-count").textContent = mine === 1 ? "1 pair" : `${mine} pairs`;
  enable();
}

function enable() {
  for (const button of buttons) {
    const { action } = button.dataset;
    if (action in SAID || action === "note" || action === "differences") {
      button.disabled = current === null;
    }
  }
  byId("undo").disabled = !standing?.can_undo;
}

function toggleDifferences() {
  if (!current) return;
  isMarking = !isMarking;
  byId("differences").setAttribute("aria-pressed", String(isMarking));
  showTexts(current);
}

function toggleDialog(id) {
  const dialog = byId(id);
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

const ACTIONS = {
  undo,
  note: () => current && remarks.open(),
  differences: toggleDifferences,
  whole: () => current && asked.toggle(),
  guidelines: () => toggleDialog("guidelines"),
  help: () => toggleDialog("help"),
};

function act(action) {
  if (action in SAID) decide(action);
  else ACTIONS[action]();
}

document.addEventListener("keydown", (event) => {
  const action = actionOf(event);
  if (event.repeat || isTyping(event.target) || !action) return;
  const open = document.querySelector("dialog[open]");
  if (open && open.id !== action) return;
  event.preventDefault();
  act(action);
});
for (const button of buttons) button.addEventListener("click", () => act(button.dataset.action));
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
byId("try").addEventListener("click", () => (outbox.size ? outbox.wake() : load()));
addEventListener("online", () => outbox.wake());
addEventListener("beforeunload", (event) => {
  if (outbox.size) event.preventDefault();
});

// Guidelines come up by themselves the first time, and again when they have changed.
function showNewGuidelines() {
  const { guidelines, guidelinesSeen } = document.body.dataset;
  if (guidelines === "" || localStorage.getItem(guidelinesSeen) === guidelines) return;
  byId("guidelines").showModal();
  byId("guidelines").addEventListener("close", () => {
    localStorage.setItem(guidelinesSeen, guidelines);
  }, { once: true });
}

setInterval(() => outbox.send(), ASK_MS); // what a closed tab has left
setInterval(() => current || outbox.size || document.hidden || load(), ASK_MS);
setInterval(() => document.hidden || load(), KEEP_MS);
scrollInStep(texts.left, texts.right);
showNewGuidelines();
enable();
outbox.send();
load();
