// Samples of fixed prompts: what the policy says, beside its reference, after a chosen step.

import { post } from "./api.js";
import { element } from "./dom.js";

const NEWEST = "newest";
const byId = (id) => document.getElementById(id);

function pane(name, text) {
  const made = element("section", "pane");
  const head = element("header", "");
  head.append(element("h3", "", name));
  const said = element("div", "said", text);
  said.dir = "auto";
  made.append(head, said);
  return made;
}

function choose(select, options, wanted) {
  const same = [...select.options].map((one) => one.value).join() === options.map((one) => one.value).join();
  if (!same) select.replaceChildren(...options.map(({ value, text }) => new Option(text, value)));
  if (options.some(({ value }) => value === wanted)) select.value = wanted;
}

export class Samples {
  constructor(alarm) {
    this.alarm = alarm;
    this.seen = "";
    for (const id of ["samples-run", "samples-step"]) {
      byId(id).addEventListener("change", () => this.update(this.runs));
    }
  }

  // Fetched only when another run or step is wanted, or the newest is a newer one.
  async update(runs) {
    this.runs = runs;
    const having = runs.filter((run) => run.sample_steps.length);
    byId("samples").hidden = having.length === 0;
    if (!having.length) return;
    const choice = byId("samples-run");
    choose(choice, having.map((run) => ({ value: String(run.id), text: run.name })), choice.value);
    const run = having.find((one) => String(one.id) === choice.value) ?? having[0];
    const steps = [...run.sample_steps].reverse().map((step) => ({ value: String(step), text: String(step) }));
    const wanted = byId("samples-step");
    const newest = { value: NEWEST, text: `newest (${steps[0].text})` };
    choose(wanted, [newest, ...steps], wanted.value || NEWEST);
    const step = Number(wanted.value === NEWEST ? steps[0].value : wanted.value);
    const key = `${run.id}/${step}`;
    if (key === this.seen) return;
    this.seen = key;
    try {
      this.#show((await post("/api/samples", { run: run.id, step })).rows);
    } catch (trouble) {
      this.seen = "";
      this.alarm("Samples cannot be fetched.", trouble);
    }
  }

  #show(rows) {
    byId("samples-rows").replaceChildren(...rows.map((row) => {
      const made = element("article", "sample");
      const prompt = element("div", "prompt");
      const said = element("div", "said", row.prompt);
      said.dir = "auto";
      prompt.append(said);
      const panes = element("div", "panes");
      if (row.reference !== undefined) panes.append(pane("Reference", row.reference));
      panes.append(pane("Policy", row.policy));
      made.append(prompt, panes);
      return made;
    }));
  }
}
