// One chart: lines of several runs over their steps, with a read-out for pointer and keyboard.

import { nearest, smoothed } from "./curves.js";
import { element } from "./dom.js";
import { inWords, linear, logarithmic, powerTicks, roundTicks } from "./scale.js";

const HEIGHT = 230;
const EDGE = { left: 58, right: 12, top: 10, bottom: 26 };
// Few points are shown as points too: a line through three says little of where they are.
const FEW = 60;
const SVG = "http://www.w3.org/2000/svg";

export function shape(name, attributes = {}, ...inside) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

function path(xs, ys) {
  return xs.map((x, n) => `${n ? "L" : "M"}${x.toFixed(1)} ${ys[n].toFixed(1)}`).join("");
}

function dots(xs, ys) {
  return xs.map((x, n) => `M${x.toFixed(1)} ${ys[n].toFixed(1)}h0`).join("");
}

// A line: { run, name, color, dash, isHeldOut, curve }.
export class Chart {
  constructor({ title, units }) {
    this.title = title;
    this.lines = [];
    this.how = { smoothing: 0, isLog: false };
    this.cursor = null;
    this.figure = element("figure", "chart");
    this.figure.append(this.#head(units), this.#plot(), this.#readOut());
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  show(lines, how) {
    this.lines = lines;
    this.how = how;
    this.draw();
  }

  #head(units) {
    const caption = element("figcaption", "chart-head");
    const name = element("h3", "", this.title);
    this.note = element("span", "muted small");
    caption.append(name, element("span", "muted small", units.join(", ")), this.note);
    return caption;
  }

  #plot() {
    this.plot = element("div", "plot");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "slider");
    this.plot.setAttribute("aria-label", `${this.title}: step to read`);
    this.svg = shape("svg", { "aria-hidden": "true", height: HEIGHT });
    this.plot.append(this.svg);
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", () => this.#read(null));
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    this.plot.addEventListener("blur", () => this.#read(null));
    return this.plot;
  }

  #readOut() {
    this.legend = element("ul", "legend small");
    return this.legend;
  }

  draw() {
    const width = this.plot.clientWidth;
    const drawn = this.lines.filter((line) => line.curve.step.length);
    if (!width || !drawn.length) return;
    const range = this.#range(drawn);
    this.x = linear(range.first, range.last, EDGE.left, width - EDGE.right);
    const place = range.isLog ? logarithmic : linear;
    this.y = place(range.low, range.high, HEIGHT - EDGE.bottom, EDGE.top);
    this.note.textContent = this.how.isLog && !range.isLog ? "linear: it has values of 0 or less" : "";
    this.steps = [...new Set(drawn.flatMap((line) => line.curve.step))].sort((a, b) => a - b);
    this.svg.setAttribute("width", width);
    this.svg.replaceChildren(this.#axes(range, width), ...drawn.flatMap((line) => this.#line(line)));
    this.#read(this.cursor);
  }

  #range(drawn) {
    const lowest = (values) => values.reduce((one, other) => Math.min(one, other), Infinity);
    const highest = (values) => values.reduce((one, other) => Math.max(one, other), -Infinity);
    let low = lowest(drawn.map(({ curve }) => lowest(curve.low)));
    let high = highest(drawn.map(({ curve }) => highest(curve.high)));
    const isLog = this.how.isLog && low > 0;
    if (low === high) {
      const around = Math.abs(low) * 0.1 || 1;
      [low, high] = isLog ? [low / 2, high * 2] : [low - around, high + around];
    }
    const first = lowest(drawn.map(({ curve }) => lowest(curve.step)));
    const last = highest(drawn.map(({ curve }) => highest(curve.step)));
    return { low, high, first, last: Math.max(last, first + 1), isLog };
  }

  #axes({ low, high, first, last, isLog }, width) {
    const bottom = HEIGHT - EDGE.bottom;
    const marks = shape("g", { class: "axes" });
    for (const tick of isLog ? powerTicks(low, high) : roundTicks(low, high, 4)) {
      const y = this.y(tick).toFixed(1);
      marks.append(shape("path", { d: `M${EDGE.left} ${y}H${width - EDGE.right}` }));
      marks.append(shape("text", { x: EDGE.left - 8, y, dy: ".35em", "text-anchor": "end" }, inWords(tick)));
    }
    for (const tick of roundTicks(first, last, Math.max(2, Math.floor(width / 110))).filter(Number.isInteger)) {
      const x = this.x(tick).toFixed(1);
      marks.append(shape("text", { x, y: bottom + 18, "text-anchor": "middle" }, inWords(tick)));
    }
    return marks;
  }

  #line({ curve, color, dash, isHeldOut }) {
    const xs = curve.step.map(this.x);
    const means = curve.mean.map(this.y);
    const isSmooth = this.how.smoothing > 0 && !isHeldOut;
    const isThinned = curve.count[0] > 1;
    const raw = isThinned
      ? path(xs.flatMap((x) => [x, x]), curve.low.flatMap((low, n) => [this.y(low), this.y(curve.high[n])]))
      : path(xs, means);
    const look = `line run-${color} dash-${dash}`;
    const made = [shape("path", { d: raw, class: isSmooth ? `${look} faint` : look })];
    if (isSmooth) {
      const average = smoothed(curve, this.how.smoothing).map(this.y);
      made.push(shape("path", { d: path(xs, average), class: `${look} smooth` }));
    }
    if (xs.length <= FEW) made.push(shape("path", { d: dots(xs, means), class: `dots run-${color}` }));
    return made;
  }

  // -- reading values ----------------------------------------------------------------------------

  #point(event) {
    if (!this.x || !this.steps?.length) return;
    const left = event.clientX - this.svg.getBoundingClientRect().left;
    const [first, last] = [this.steps[0], this.steps.at(-1)];
    const [from, to] = [this.x(first), this.x(last)];
    this.#read(first + ((left - from) / (to - from || 1)) * (last - first));
  }

  #key(event) {
    if (!this.steps?.length) return;
    const at = this.cursor === null ? this.steps.length : nearest({ step: this.steps }, this.cursor);
    const far = Math.max(1, Math.round(this.steps.length / 10));
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowDown: at - 1, ArrowUp: at + 1,
      PageDown: at - far, PageUp: at + far, Home: 0, End: this.steps.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#read(this.steps[Math.min(Math.max(to, 0), this.steps.length - 1)]);
  }

  // Values at the step nearest to the wanted one; the newest of each line where none is wanted.
  #read(wanted) {
    const drawn = this.lines.filter((line) => line.curve.step.length);
    if (!this.x || !drawn.length) return;
    this.cursor = wanted === null ? null : this.steps[nearest({ step: this.steps }, wanted)];
    this.svg.querySelector(".cursor")?.remove();
    if (this.cursor !== null) {
      const x = this.x(this.cursor).toFixed(1);
      this.svg.append(shape("path", { d: `M${x} ${EDGE.top}V${HEIGHT - EDGE.bottom}`, class: "cursor" }));
    }
    const values = drawn.map((line) => this.#valueAt(line));
    this.legend.replaceChildren(...values.map(({ line, text }) => this.#legendRow(line, text)));
    const step = this.cursor ?? this.steps.at(-1);
    const spoken = values.map(({ line, text }) => `${line.run} ${line.name} ${text}`).join("; ");
    for (const [name, value] of [
      ["valuemin", this.steps[0]], ["valuemax", this.steps.at(-1)], ["valuenow", step],
      ["valuetext", `step ${inWords(step, 9)}: ${spoken}`],
    ]) this.plot.setAttribute(`aria-${name}`, value);
  }

  #valueAt(line) {
    const { step, mean, low, high, count } = line.curve;
    const n = this.cursor === null ? step.length - 1 : nearest(line.curve, this.cursor);
    const spread = count[n] > 1 ? ` (${inWords(low[n])} to ${inWords(high[n])})` : "";
    return { line, text: `${inWords(mean[n])}${spread} at ${inWords(step[n], 9)}` };
  }

  #legendRow(line, text) {
    const row = element("li", "");
    const sample = shape("svg", { width: 26, height: 10, "aria-hidden": "true" });
    sample.append(shape("path", { d: "M1 5H25", class: `line run-${line.color} dash-${line.dash}` }));
    const name = element("span", "legend-name", line.label);
    row.append(sample, name, element("span", "legend-value", text));
    return row;
  }
}
