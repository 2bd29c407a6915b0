"use strict";
// Makes the static figures interactive: values under the pointer or the arrow keys, axes, and series on and off.
(() => {
  const number = (value) => {
    if (value === null) return "–";
    const size = Math.abs(value);
    return size >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
  };

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.plot = figure.querySelector("svg.plot");
      this.readout = figure.querySelector(".readout");
      this.cursor = figure.querySelector(".cursor");
      this.data = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
      this.hidden = new Set();
      this.at = null;
      figure.querySelector(".switches").hidden = false;
      for (const button of figure.querySelectorAll("button[data-axis]"))
        button.addEventListener("click", () => this.turn(button));
      for (const box of figure.querySelectorAll("input[data-series]")) {
        box.hidden = false;
        box.checked = true;
        box.addEventListener("change", () => this.show(box));
      }
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerleave", () => this.leave());
      this.plot.setAttribute("tabindex", "0");
      this.plot.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight Escape");
      this.plot.addEventListener("keydown", (event) => this.step(event));
      this.plot.addEventListener("blur", () => this.release());
    }

    // Position of a value in the units of the SVG; NaN where it has none.
    place(axis, value) {
      const log = this.data.log[axis];
      const [start, end] = this.data.axes[axis][log ? "log" : "linear"];
      const [left, top, right, bottom] = this.data.box;
      if (value === null) return NaN;
      if (log && !(value > 0)) return axis === "x" ? NaN : (start < end ? 1e4 : -1e4);
      const share = ((log ? Math.log10(value) : value) - start) / (end - start);
      if (axis === "x") return left + share * (right - left);
      return Math.max(-1e4, Math.min(1e4, bottom - share * (bottom - top)));
    }

    rows(series, name = "") {
      const values = series[(this.data.log.y ? "e" : "y") + name];
      return series.x.map((x, i) => [this.place("x", x), this.place("y", values[i])])
        .filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
    }

    bars(series) {
      const ends = (values) => values.map((value) => this.place("y", value));
      const [low, high] = this.data.log.y ? [ends(series.e), ends(series.e2)] : [ends(series.y), ends(series.y2)];
      return series.x.map((x, i) => [this.place("x", x), low[i], high[i]])
        .filter((row) => row.every(Number.isFinite))
        .map(([x, a, b]) => `M${x.toFixed(1)} ${a.toFixed(1)}V${b.toFixed(1)}`).join("");
    }

    draw() {
      const join = (points) => points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
      this.data.series.forEach((series, i) => {
        const points = this.rows(series);
        let path = points.length ? "M" + join(points) : "M0 0";
        if (series.kind === "points") path = points.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
        if (series.kind === "bars") path = this.bars(series);
        if (series.kind === "band" && points.length) path += "L" + join(this.rows(series, "2").reverse()) + "Z";
        const mark = this.plot.querySelector(`[data-series="${i}"]`);
        mark.setAttribute("d", path);
        mark.setAttribute("visibility", this.hidden.has(i) ? "hidden" : "visible");
      });
      for (const axis of ["x", "y"])
        for (const ticks of this.plot.querySelectorAll(`.ticks.${axis}`)) {
          const shown = ticks.classList.contains(this.data.log[axis] ? "log" : "linear");
          ticks.setAttribute("visibility", shown ? "visible" : "hidden");
        }
      if (this.at !== null) this.read(this.at);
    }

    turn(button) {
      const axis = button.dataset.axis;
      this.data.log[axis] = !this.data.log[axis];
      button.setAttribute("aria-pressed", String(this.data.log[axis]));
      this.draw();
    }

    show(box) {
      for (const i of box.dataset.series.split(" ").map(Number))
        if (box.checked) this.hidden.delete(i);
        else this.hidden.add(i);
      this.draw();
    }

    // Sizes of all visible series, ascending, with their positions.
    sizes() {
      const shown = this.data.series.filter((_, i) => !this.hidden.has(i));
      const sizes = [...new Set(shown.flatMap((series) => series.x))].sort((a, b) => a - b);
      const [left, , right] = this.data.box;
      return sizes.filter((x) => this.place("x", x) >= left - 0.5 && this.place("x", x) <= right + 0.5);
    }

    point(event) {
      const frame = this.plot.getBoundingClientRect();
      const x = ((event.clientX - frame.left) / frame.width) * this.plot.viewBox.baseVal.width;
      let best = null;
      for (const size of this.sizes())
        if (best === null || Math.abs(this.place("x", size) - x) < Math.abs(this.place("x", best) - x)) best = size;
      if (best !== null) this.read(best);
    }

    step(event) {
      if (event.key === "Escape") return this.leave();
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return undefined;
      event.preventDefault();
      const sizes = this.sizes();
      const forward = event.key === "ArrowRight";
      let next = forward ? sizes[0] : sizes[sizes.length - 1];
      if (this.at !== null) {
        const beyond = sizes.filter((size) => (forward ? size > this.at : size < this.at));
        next = forward ? beyond[0] : beyond[beyond.length - 1];
      }
      if (next !== undefined) this.read(next);
      return undefined;
    }

    // Show the values of every visible series at a size, or at the nearest one that it has close by.
    read(size) {
      const here = this.place("x", size);
      const parts = [];
      const seen = new Set();
      this.data.series.forEach((series, i) => {
        if (this.hidden.has(i) || seen.has(series.name) || series.role === "family") return;
        let near = -1;
        series.x.forEach((x, j) => {
          const gap = (k) => Math.abs(this.place("x", series.x[k]) - here);
          if (series.y[j] !== null && (near < 0 || gap(j) < gap(near))) near = j;
        });
        if (near < 0 || Math.abs(this.place("x", series.x[near]) - here) > 6) return;
        seen.add(series.name);
        const ends = series.y2 ? [series.y[near], series.y2[near]].sort((a, b) => a - b) : [series.y[near]];
        parts.push(`${series.name} ${ends.map(number).join(" to ")}`);
      });
      this.at = size;
      this.readout.hidden = false;
      this.readout.textContent = `${number(size)} ${this.data.unit}: ${parts.join("; ") || "no value"}`;
      this.cursor.setAttribute("transform", `translate(${here.toFixed(1)} 0)`);
      this.cursor.setAttribute("visibility", "visible");
    }

    // The text stays: another one could be taller, and move the button that is being pressed.
    release() {
      this.at = null;
      this.cursor.setAttribute("visibility", "hidden");
    }

    leave() {
      this.release();
      this.readout.textContent = "Point at the figure, or focus it and press the arrow keys, to read values.";
    }
  }

  for (const figure of document.querySelectorAll("figure.chart")) {
    const chart = new Chart(figure);
    chart.readout.hidden = false;
    chart.leave();
  }
})();
