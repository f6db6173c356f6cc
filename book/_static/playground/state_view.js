/** What the model remembers: a heat map of its hidden state, to forget and to change; or its last tokens. */

import { element, labelled, newId, visible } from "./dom.js";

const CELL = 24; // pixels of the drawing; CSS scales it
const WIDEST = 16; // units in a row
const LIMITS = { h: 1, c: 3 }; // what the slider reaches; the colour of c is that of tanh c
const COLOURS = { positive: "214, 100, 0", negative: "0, 104, 200" };

/** As square as it can be with whole rows. */
function columnsFor(units) {
  for (let columns = Math.min(WIDEST, Math.ceil(Math.sqrt(units))); columns <= WIDEST; columns++) {
    if (units % columns === 0) return columns;
  }
  return Math.min(WIDEST, units);
}

/** One vector of the state as a grid of units; a press chooses one. */
class Grid {
  constructor(units, onChoose) {
    this.columns = columnsFor(units);
    const rows = Math.ceil(units / this.columns);
    this.canvas = element("canvas", {
      role: "img",
      width: this.columns * CELL,
      height: rows * CELL,
      onclick: (event) => {
        const scale = this.canvas.width / this.canvas.clientWidth / CELL;
        const unit = Math.floor(event.offsetY * scale) * this.columns + Math.floor(event.offsetX * scale);
        if (unit >= 0 && unit < units) onChoose(unit);
      },
    });
    this.caption = element("figcaption");
    this.element = element("figure", { class: "pg-grid" }, this.caption, this.canvas);
  }

  /** @param {{kind: string, name: string, values: Float64Array}} part @param {number | null} chosen unit */
  draw({ kind, name, values }, chosen) {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    values.forEach((value, unit) => {
      const shade = kind === "c" ? Math.tanh(value) : value;
      const colour = shade > 0 ? COLOURS.positive : COLOURS.negative;
      context.fillStyle = `rgba(${colour}, ${Math.min(1, Math.abs(shade))})`;
      context.fillRect(...this.corner(unit), CELL - 1, CELL - 1);
    });
    if (chosen !== null) {
      context.strokeStyle = getComputedStyle(this.canvas).color;
      context.lineWidth = 3;
      const [x, y] = this.corner(chosen);
      context.strokeRect(x + 1.5, y + 1.5, CELL - 4, CELL - 4);
    }
    const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    this.caption.textContent = `${name}, root mean square ${size.toFixed(2)}`;
    this.canvas.setAttribute("aria-label", `${values.length} units of ${name}`);
  }

  corner(unit) {
    return [(unit % this.columns) * CELL, Math.floor(unit / this.columns) * CELL];
  }
}

/** The state of a recurrent model. */
export class StateView {
  /** @param {() => void} onChange after the state was changed by hand */
  constructor(session, label, onChange) {
    this.session = session;
    this.onChange = onChange;
    const parts = this.parts();
    const units = parts[0].values.length;
    this.grids = parts.map(({ values }, i) => new Grid(values.length, (unit) => this.choose(i, unit)));
    const id = newId("state");
    const draw = () => this.draw();
    const options = parts.map(({ name }, i) => element("option", { value: i }, name));
    this.part = element("select", { onchange: draw }, ...options);
    this.unit = element("input", { type: "number", min: 0, max: units - 1, value: 0, oninput: draw });
    const oninput = () => this.set(Number(this.value.value));
    this.value = element("input", { type: "range", step: "0.01", oninput });
    this.number = element("span", { class: "pg-number" });
    const fields = [
      labelled("Part", this.part),
      labelled(`Unit (0 to ${units - 1})`, this.unit),
      labelled("Value", this.value, this.number),
      element("button", { type: "button", onclick: () => this.set(0) }, "Set to 0"),
      element("button", { type: "button", onclick: () => this.forget() }, "Forget everything"),
    ];
    this.element = element(
      "div",
      { role: "group", "aria-labelledby": id },
      element("p", { id, class: "pg-title" }, `${label}: hidden state (blue below 0, orange above)`),
      element("div", { class: "pg-grids" }, ...this.grids.map((grid) => grid.element)),
      element("div", { class: "pg-fields" }, ...fields),
    );
  }

  parts() {
    return this.session.model.parts(this.session.state);
  }

  /** Part and unit that the fields name; a unit beyond the last is the last. */
  chosen() {
    const index = Number(this.part.value);
    const part = this.parts()[index];
    const unit = Math.max(0, Math.min(part.values.length - 1, Math.trunc(Number(this.unit.value))));
    return { index, part, unit };
  }

  choose(index, unit) {
    this.part.value = index;
    this.unit.value = unit;
    this.draw();
  }

  set(value) {
    const { part, unit } = this.chosen();
    this.session.edit({ layer: part.layer, part: part.part, unit, value });
    this.onChange();
  }

  forget() {
    this.session.forget();
    this.onChange();
  }

  draw() {
    const { index, part, unit } = this.chosen();
    this.parts().forEach((each, i) => this.grids[i].draw(each, i === index ? unit : null));
    const limit = LIMITS[part.kind];
    this.value.min = -limit;
    this.value.max = limit;
    this.value.value = part.values[unit];
    this.number.textContent = part.values[unit].toFixed(3);
  }
}

/** The state of an n-gram model: words, not numbers. */
export class ContextView {
  constructor(session, label, onChange) {
    this.session = session;
    this.said = element("p", { class: "pg-detail" });
    const forget = () => {
      session.forget();
      onChange();
    };
    const button = element("button", { type: "button", onclick: forget }, "Forget everything");
    this.element = element("div", { role: "group", "aria-label": `${label}: memory` }, this.said, button);
  }

  draw() {
    const { model, state, tokenizer } = this.session;
    const names = state.map((id) => `“${visible(tokenizer.label(id))}”`).join(" ");
    const known = `its tables know the last ${model.known(state)} of these as a context`;
    this.said.textContent = names ? `It remembers ${names} and nothing else; ${known}.` : "It remembers nothing.";
  }
}
