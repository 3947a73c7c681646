// The watching page: asks every second what is new, and hands it to the list, the charts, the samples.

import { post } from "./api.js";
import { Chart } from "./chart.js";
import { spliced } from "./curves.js";
import { COLORS, Runs } from "./runs.js";
import { Samples } from "./samples.js";

const EVERY_MS = 1_000;
const HELD_OUT = "eval_";
const DASHES = 6;

const byId = (id) => document.getElementById(id);
const curves = new Map(); // run → { version, of: metric → curve }
const charts = new Map(); // title → Chart
const runs = new Runs({ shown: showOthers, stop: askToStop });
const samples = new Samples(alarm);
let last = null;
let isLooking = false;
let timer = 0;
let toStop = null;

// -- what is new ---------------------------------------------------------------------------------

async function look() {
  if (isLooking || document.hidden) return; // a page that nobody looks at asks nothing
  isLooking = true;
  clearTimeout(timer);
  try {
    const shown = last === null ? [] : runs.shown;
    const have = shown.map((id) => curves.get(id)?.version ?? 0);
    take(await post("/api/look", { shown, have }));
    byId("trouble").hidden = true;
  } catch (trouble) {
    alarm("This page does not get anything new.", trouble);
  }
  isLooking = false;
  // The first answer says which runs there are; their curves follow at once.
  const isBehind = runs.shown.some((id) => !curves.has(id));
  timer = setTimeout(look, isBehind && last !== null ? 0 : EVERY_MS);
}

function showOthers() {
  draw();
  look();
}

function take(answer) {
  last = answer;
  runs.update(answer.runs);
  let isNew = false;
  for (const run of answer.runs) {
    if (run.version === undefined) continue;
    const of = run.anew ? {} : (curves.get(run.id)?.of ?? {});
    for (const [name, news] of Object.entries(run.curves)) of[name] = spliced(of[name], news);
    isNew ||= run.anew || Object.keys(run.curves).length > 0 || !curves.has(run.id);
    curves.set(run.id, { version: run.version, of });
  }
  if (isNew) draw();
  showFindings(answer.runs);
  showComparisons(answer.comparisons);
  samples.update(answer.runs);
  byId("heard").textContent = `As of ${new Date().toLocaleTimeString()}`;
}

// -- curves --------------------------------------------------------------------------------------

function draw() {
  const how = { smoothing: smoothing(), isLog: document.querySelector("[name=scale]:checked").value === "log" };
  const wanted = last.charts.map((of) => ({ of, lines: linesOf(of) })).filter(({ lines }) => lines.length);
  for (const { of, lines } of wanted) {
    if (!charts.has(of.title)) charts.set(of.title, new Chart(of));
    charts.get(of.title).show(lines, how);
  }
  const figures = wanted.map(({ of }) => charts.get(of.title).figure);
  const grid = byId("charts");
  if (figures.some((figure, n) => grid.children[n] !== figure) || grid.children.length !== figures.length) {
    grid.replaceChildren(...figures);
  }
  byId("curves").hidden = figures.length === 0;
}

// The color says the run, the dash the metric; an evaluation has a dash of its own.
function linesOf({ metrics }) {
  const names = metrics.flatMap((metric) => [metric, HELD_OUT + metric]);
  const shown = last.runs.filter((run) => runs.shown.includes(run.id));
  const found = shown.flatMap((run) => names.map((name, n) => ({
    run: run.name, name, color: run.id % COLORS, dash: n % DASHES, isHeldOut: name.startsWith(HELD_OUT),
    label: shown.length > 1 ? `${run.name} · ${name}` : name,
    curve: curves.get(run.id)?.of[name],
  })));
  return found.filter((line) => line.curve);
}

// Even steps of the slider are even factors of how far back an average reaches: 0, 0.9 at a third,
// 0.99 at two thirds, 0.999 at the end.
function smoothing() {
  return 1 - 10 ** (-3 * Number(byId("smoothing").value));
}

function showSmoothing() {
  const weight = smoothing();
  byId("smoothing-value").textContent = String(Number(weight.toFixed(3)));
  byId("smoothing").setAttribute("aria-valuetext", byId("smoothing-value").textContent);
  if (last !== null) draw();
}

// -- findings ------------------------------------------------------------------------------------

function showFindings(all) {
  const found = all.flatMap((run) => run.findings.map((one) => ({ ...one, run: run.name })));
  byId("findings").hidden = found.length === 0;
  const rows = found.map(({ run, level, name, step, words }) => {
    const row = document.createElement("li");
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.dataset.level = level;
    badge.textContent = `${level}: ${name}`;
    const where = document.createElement("span");
    where.className = "muted small";
    where.textContent = `${run}, step ${step}; what to do: docs/findings.md#${name}`;
    const said = document.createElement("p");
    said.textContent = words;
    row.append(badge, " ", where, said);
    return row;
  });
  byId("findings-list").replaceChildren(...rows);
}

// -- comparisons ---------------------------------------------------------------------------------

function showComparisons(found) {
  const place = byId("comparisons");
  place.hidden = found.length === 0;
  const text = JSON.stringify(found);
  if (place.dataset.seen === text) return;
  place.dataset.seen = text;
  place.replaceChildren(...found.flatMap(({ name, sentence, columns, arms }) => {
    const head = document.createElement("h2");
    head.textContent = `Comparison ${name}`;
    const verdict = document.createElement("p");
    verdict.textContent = sentence;
    return arms.length ? [head, verdict, table(columns, arms)] : [head, verdict];
  }));
}

function table(columns, rows) {
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  for (const name of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = made.createTBody();
  for (const [name, ...cells] of rows) {
    const row = body.insertRow();
    const first = document.createElement("th");
    first.scope = "row";
    first.textContent = name;
    row.append(first);
    cells.forEach((text, n) => {
      const cell = row.insertCell();
      cell.dataset.label = columns[n + 1];
      cell.textContent = text;
    });
  }
  return made;
}

// -- stopping ------------------------------------------------------------------------------------

function askToStop(run) {
  toStop = run;
  byId("stop-run").textContent = run.name;
  byId("stop").showModal();
}

async function stop() {
  byId("stop").close();
  try {
    await post("/api/stop", { run: toStop.id });
    look();
  } catch (trouble) {
    alarm("The run was not asked to stop.", trouble);
  }
}

function alarm(what, trouble) {
  byId("trouble-what").textContent = what;
  byId("trouble-why").textContent = trouble.message;
  byId("trouble").hidden = false;
}

byId("stop-yes").addEventListener("click", stop);
byId("stop-no").addEventListener("click", () => byId("stop").close());
byId("smoothing").addEventListener("input", showSmoothing);
for (const one of document.querySelectorAll("[name=scale]")) one.addEventListener("change", draw);
document.addEventListener("visibilitychange", () => document.hidden || look());
showSmoothing();
look();
