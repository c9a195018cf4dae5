// Plots of the last quarter of an hour, drawn anew with every document.

const SVG = "http://www.w3.org/2000/svg";
const EDGE = { left: 46, right: 6, top: 10, bottom: 20 };

function shape(parent, name, className) {
  const made = document.createElementNS(SVG, name);
  if (className) made.setAttribute("class", className);
  parent.append(made);
  return made;
}

function place(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

/** The next of 1, 2, 4, 6, 8, 10, 20, ... that is not below `number`. */
function nice(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= number * 0.9999);
}

/** Values from 0 up, on three lines. */
function linear(values, least, word) {
  const top = nice(Math.max(least, ...values));
  return { ticks: [0, top / 2, top].map((value) => [value, word(value)]), at: (value) => Math.min(1, value / top) };
}

/** Values of many magnitudes, a line for each ten times as much. */
function logarithmic(values) {
  const low = Math.floor(Math.log10(Math.max(0.01, Math.min(...values, 1))));
  const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(...values, 100))));
  const ticks = [];
  for (let power = low; power <= high; power += 1) {
    const ms = 10 ** power;
    ticks.push([ms, ms < 1 ? `${ms} ms` : ms < 1000 ? `${ms} ms` : `${ms / 1000} s`]);
  }
  return { ticks, at: (value) => Math.max(0, (Math.log10(Math.max(value, 1e-9)) - low) / (high - low)) };
}

class Plot {
  constructor(parent, { title, series, scale, word }) {
    Object.assign(this, { title, series, scale, word });
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const heading = document.createElement("h2");
    heading.textContent = title;
    const legend = document.createElement("ul");
    legend.className = "legend";
    this.legend = series.map(({ name, color }) => {
      const item = document.createElement("li");
      const sign = shape(item, "svg");
      sign.setAttribute("aria-hidden", "true");
      place(shape(sign, "path", `series ${color}`), { d: "M1 4H11" });
      const value = document.createElement("b");
      item.append(name, value);
      legend.append(item);
      return value;
    });
    caption.append(heading, legend);
    figure.append(caption);
    this.svg = shape(figure, "svg", "plot");
    place(this.svg, { role: "img", tabindex: "0" });
    this.grid = shape(this.svg, "g");
    this.areas = series.map(({ color, area }) => (area ? shape(this.svg, "path", `area ${color}`) : null));
    this.lines = series.map(({ color }) => shape(this.svg, "path", `series ${color}`));
    this.cross = shape(this.svg, "line", "cross");
    this.samples = [];
    this.pointed = null;
    parent.append(figure);
  }

  /** Shows `samples` of the time from `begin` to `end`, in milliseconds since 1970. */
  draw(samples, begin, end, gap) {
    Object.assign(this, { samples, begin, end });
    const width = this.svg.clientWidth || 600;
    const height = this.svg.clientHeight || 158;
    const inner = { width: width - EDGE.left - EDGE.right, height: height - EDGE.top - EDGE.bottom };
    const values = this.series.flatMap(({ of }) => samples.map(of)).filter((value) => value !== null);
    const scale = this.scale(values);
    const y = (value) => EDGE.top + inner.height * (1 - scale.at(value));
    this.x = (ms) => EDGE.left + inner.width * ((ms - begin) / (end - begin));
    place(this.svg, { viewBox: `0 0 ${width} ${height}` });
    this.drawGrid(scale, y, width, height);
    this.series.forEach(({ of, rare }, index) => {
      const runs = this.runs(rare ? (sample) => of(sample) || null : of, gap);
      const line = runs.map((run) => `M${run.map(([ms, value]) => this.point(ms, y(value))).join("L")}h.01`);
      this.lines[index].setAttribute("d", line.join(""));
      const floor = y(scale.ticks[0][0]);
      const area = runs.map((run) => {
        const points = run.map(([ms, value]) => this.point(ms, y(value)));
        return `M${this.point(run[0][0], floor)}L${points.join("L")}L${this.point(run.at(-1)[0], floor)}Z`;
      });
      if (this.areas[index]) this.areas[index].setAttribute("d", area.join(""));
    });
    place(this.cross, { y1: EDGE.top, y2: height - EDGE.bottom });
    this.tell();
  }

  point(ms, y) {
    return `${this.x(ms).toFixed(1)} ${y.toFixed(1)}`;
  }

  /** What can be drawn without lifting the pen. */
  runs(of, gap) {
    const runs = [];
    let last = -Infinity;
    for (const sample of this.samples) {
      const value = of(sample);
      if (value === null || sample.time_ms < this.begin) continue;
      if (sample.time_ms - last > gap) runs.push([]);
      runs.at(-1).push([sample.time_ms, value]);
      last = sample.time_ms;
    }
    return runs;
  }

  drawGrid(scale, y, width, height) {
    this.grid.replaceChildren();
    for (const [value, word] of scale.ticks) {
      const at = y(value).toFixed(1);
      place(shape(this.grid, "line", "grid"), { x1: EDGE.left, x2: width - EDGE.right, y1: at, y2: at });
      const text = shape(this.grid, "text");
      place(text, { x: EDGE.left - 7, y: Number(at) + 4, "text-anchor": "end" });
      text.textContent = word;
    }
    for (const minutes of [15, 10, 5, 0]) {
      const text = shape(this.grid, "text");
      const anchor = minutes === 15 ? "start" : minutes === 0 ? "end" : "middle";
      place(text, { x: this.x(this.end - minutes * 60000), y: height - 4, "text-anchor": anchor });
      text.textContent = minutes === 0 ? "now" : `−${minutes} min`;
    }
  }

  /** Points at the sample nearest to a time; `null` points at none, and the latest is told. */
  point_at(ms) {
    this.pointed = ms;
    this.tell();
  }

  tell() {
    let chosen = this.samples.at(-1);
    if (this.pointed !== null) {
      const away = (sample) => Math.abs(sample.time_ms - this.pointed);
      chosen = this.samples.reduce((best, sample) => (best && away(best) <= away(sample) ? best : sample), chosen);
    }
    const shown = this.pointed !== null && chosen !== undefined;
    this.cross.setAttribute("visibility", shown ? "visible" : "hidden");
    if (shown) place(this.cross, { x1: this.x(chosen.time_ms), x2: this.x(chosen.time_ms) });
    const told = this.series.map(({ of }) => (chosen === undefined ? NONE : this.word(of(chosen))));
    told.forEach((word, index) => { this.legend[index].textContent = word; });
    const summary = this.series.map(({ name }, index) => `${name} ${told[index]}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}: ${summary}`);
  }

  /** The time under a pointer. */
  time_at(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - EDGE.left) / (box.width - EDGE.left - EDGE.right);
    return this.begin + share * (this.end - this.begin);
  }
}

/** Points all plots at one time: that of the pointer, or of the arrow keys. */
function link(plots, period) {
  const all = (ms) => plots.forEach((plot) => plot.point_at(ms));
  for (const plot of plots) {
    plot.svg.addEventListener("pointermove", (event) => all(plot.time_at(event)));
    plot.svg.addEventListener("pointerleave", () => all(null));
    plot.svg.addEventListener("blur", () => all(null));
    plot.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -period, ArrowRight: period }[event.key];
      if (step === undefined || plot.samples.length === 0) return;
      event.preventDefault();
      const from = plot.pointed ?? plot.samples.at(-1).time_ms;
      all(Math.min(plot.samples.at(-1).time_ms, Math.max(plot.samples[0].time_ms, from + step)));
    });
  }
}
