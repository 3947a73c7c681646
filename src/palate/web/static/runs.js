// The list of runs: which are drawn, where each stands, and the button that stops it.

import { duration } from "./scale.js";
import { shape } from "./chart.js";
import { element } from "./dom.js";

export const COLORS = 8;
const MOST_SHOWN = 8;

const byId = (id) => document.getElementById(id);

export class Runs {
  // `on.shown` is called when other runs are to be drawn, `on.stop` with a run that is to end.
  constructor(on) {
    this.on = on;
    this.rows = new Map();
  }

  get shown() {
    return [...this.rows.values()].filter((row) => row.box.checked).map((row) => row.run.id);
  }

  update(runs) {
    for (const run of runs) {
      if (!this.rows.has(run.id)) this.rows.set(run.id, this.#row(run));
      this.#fill(this.rows.get(run.id), run);
    }
    byId("none").hidden = runs.length > 0;
  }

  #row(run) {
    const item = element("li", "run");
    const box = element("input", "");
    box.type = "checkbox";
    box.checked = this.rows.size < MOST_SHOWN;
    box.addEventListener("change", () => this.on.shown());
    const swatch = shape("svg", { width: 22, height: 10, "aria-hidden": "true" });
    swatch.append(shape("path", { d: "M1 5H21", class: `line run-${run.id % COLORS}` }));
    const name = element("span", "run-name");
    name.dir = "auto";
    const label = element("label", "run-head");
    label.append(box, swatch, name);
    const state = element("span", "state badge");
    const words = element("span", "run-words muted small");
    const bar = element("progress", "");
    const button = element("button", "small");
    button.type = "button";
    button.textContent = "Stop";
    const row = { item, box, name, state, words, bar, button, run };
    button.addEventListener("click", () => this.on.stop(row.run));
    item.append(label, state, bar, words, button);
    byId("runs").append(item);
    return row;
  }

  #fill(row, run) {
    row.run = run;
    row.name.textContent = run.stage && run.stage !== run.name ? `${run.name} · ${run.stage}` : run.name;
    row.state.textContent = run.is_asked ? "asked to stop" : run.words;
    row.state.dataset.state = run.state;
    row.bar.setAttribute("aria-label", `Steps of ${run.name}`);
    row.bar.hidden = run.num_steps === 0;
    row.bar.max = Math.max(run.num_steps, 1);
    row.bar.value = run.step;
    const steps = run.num_steps ? `step ${run.step} of ${run.num_steps}` : `step ${run.step}`;
    const left = run.seconds_left === null ? "" : ` · about ${duration(run.seconds_left)} left`;
    const bad = run.num_bad ? ` · ${run.num_bad} unreadable lines` : "";
    row.words.textContent = steps + left + bad;
    row.button.hidden = !run.can_stop || run.is_asked;
    row.button.setAttribute("aria-label", `Stop ${run.name}`);
  }
}
