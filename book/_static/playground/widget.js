/** The playground: a prompt, buttons, and one column per model. Chapters use it with fewer parts. */

import { Column, titleOf } from "./column.js";
import { LARGEST_SEED, PromptControl, SamplingControls, SeedControl } from "./controls.js";
import { element, labelled, visible } from "./dom.js";
import { ReaderError } from "./errors.js";
import { openLibrary } from "./library.js";

const RUN_TOKENS = 100;
const WORK_MS = 30; // of writing between two pictures: some twenty pictures a second
const TYPING_MS = 150; // a pause in typing, after which the prompt is read
const ENDED = "The text has ended. Reset begins anew.";
const CHOOSE = "Choose a model.";
const PACES = [
  ["0", "as fast as it can"],
  ["50", "20 tokens a second"],
  ["250", "4 tokens a second"],
];
const PARTS = ["models", "sampling", "text", "bars", "state"];
const words = (text) => (text ?? "").split(/\s+/).filter(Boolean);

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const nextFrame = () => new Promise((done) => requestAnimationFrame(done));
const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Widget {
  /**
   * @param {HTMLElement} root with data-models, data-chosen (the models to begin with; else the first),
   *   data-parts, data-prompt and data-temperature; what stands in it is for readers without JavaScript
   * @param {URL} base the folder of the models
   */
  constructor(root, base) {
    const { models, chosen, parts, prompt, temperature } = root.dataset;
    this.base = base;
    this.names = words(models);
    this.first = words(chosen).length ? words(chosen) : this.names.slice(0, 1);
    this.parts = new Set(parts ? words(parts) : PARTS);
    this.columns = new Map(); // by name: what was loaded
    this.boxes = new Map(); // by name: what is to be seen
    this.running = null; // the run in progress
    this.fallback = root.querySelector(".pg-fallback");
    this.build(prompt ?? "The President", Number(temperature ?? 1));
    root.append(this.element);
  }

  build(prompt, temperature) {
    const button = (text, onclick) => element("button", { type: "button", onclick }, text);
    const restart = () => this.guard(() => this.restart());
    this.prompt = new PromptControl(prompt, () => this.onTyping());
    this.runButton = button("Run", () => this.run());
    this.pace = element("select", {}, ...PACES.map(([value, text]) => element("option", { value }, text)));
    this.controls = new SamplingControls(temperature, () => this.guard(() => this.draw()));
    this.seed = new SeedControl(restart);
    this.choices = element("fieldset", { class: "pg-fields" }, element("legend", {}, "Models side by side"));
    const buttons = [button("Step", () => this.step()), this.runButton, button("Reset", restart)];
    this.form = element(
      "fieldset",
      { class: "pg-form", disabled: true },
      element("legend", { class: "pg-title" }, "Playground"),
      this.prompt.element,
      ...(this.parts.has("models") ? [this.choices] : []),
      element("div", { class: "pg-fields" }, ...buttons, labelled("Speed", this.pace)),
      ...(this.parts.has("sampling") ? [this.controls.element, this.seed.element] : []),
    );
    this.status = element("p", { class: "pg-status", role: "status" });
    this.again = element("button", { type: "button", hidden: true, onclick: () => this.start() }, "Try again");
    this.stage = element("div", { class: "pg-stage" });
    this.element = element("div", { class: "pg-ui" }, this.form, this.status, this.again, this.stage);
  }

  /** Load what is needed to begin, then the rest; never throws: what goes wrong is said on the page. */
  async start() {
    this.again.hidden = true;
    if (this.fallback) this.fallback.hidden = true;
    this.say("Loading the list of models and the tokenizer …");
    try {
      this.library = await openLibrary(this.base);
      this.offerModels();
      for (const name of this.first) await this.show(name);
      for (const name of this.names) this.library.load(name).catch(() => {}); // said when it is chosen
    } catch (error) {
      if (this.fallback) this.fallback.hidden = false;
      this.again.hidden = false;
      this.sayError(error);
    }
    this.form.disabled = !this.library;
  }

  /** A box for each model; what is checked and loaded is on the page. */
  offerModels() {
    const labels = this.names.map((name) => {
      const checked = this.first.includes(name);
      const box = element("input", { type: "checkbox", checked, onchange: () => this.choose(name) });
      this.boxes.set(name, box);
      return element("label", {}, box, ` ${titleOf(this.library.about(name))}`);
    });
    this.choices.replaceChildren(this.choices.firstChild, ...labels);
  }

  async choose(name) {
    const box = this.boxes.get(name);
    try {
      if (box.checked) await this.show(name);
      else this.arrange();
    } catch (error) {
      box.checked = false;
      this.sayError(error);
    }
  }

  /** Load a model, give it a column, and let every model begin anew. */
  async show(name) {
    if (!this.columns.has(name)) {
      const entry = this.library.about(name);
      this.say(`Loading ${titleOf(entry)}, ${(entry.bytes / 1e6).toFixed(1)} MB …`);
      const model = await this.library.load(name);
      const onChange = () => this.guard(() => this.draw());
      this.columns.set(name, new Column(entry, model, this.library.tokenizer, this.parts, { onChange }));
    }
    this.again.hidden = true;
    if (this.fallback) this.fallback.hidden = true;
    this.arrange();
    this.restart();
  }

  arrange() {
    this.stage.replaceChildren(...this.shown.map((column) => column.element));
  }

  /** @returns {Column[]} */
  get shown() {
    const names = this.names.filter((name) => this.columns.has(name) && this.boxes.get(name).checked);
    return names.map((name) => this.columns.get(name));
  }

  onTyping() {
    this.stop();
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.guard(() => this.restart()), TYPING_MS);
  }

  /** Back to the prompt, an empty state before it, and the seed. */
  restart() {
    this.stop();
    clearTimeout(this.typing);
    this.typing = null;
    const { seed } = this.seed;
    if (seed === null) throw new ReaderError(`The seed must be a whole number from 0 to ${LARGEST_SEED}.`);
    const { ids, said } = this.prompt.read(this.library.tokenizer);
    for (const { session } of this.shown) session.start(ids, seed);
    this.draw();
    this.say(this.shown.length ? `${said} Ready; the seed is ${seed}.` : `${said} ${CHOOSE}`);
  }

  draw() {
    for (const column of this.shown) column.draw(this.controls.sampling);
  }

  /** Whether a model is on the page; if none is chosen, the status says so. */
  hasModels() {
    const chosen = [...this.boxes.values()].some((box) => box.checked); // or still on its way
    if (!chosen) this.say(CHOOSE);
    return this.shown.length > 0;
  }

  /** One token from each model. @returns {boolean} false if every text has ended */
  writeOne() {
    const entries = this.shown.map(({ session }) => session.write(this.controls.sampling));
    return entries.some((entry) => entry !== null);
  }

  step() {
    this.guard(() => {
      if (this.typing) this.restart();
      this.stop();
      if (!this.hasModels()) return;
      const alive = this.writeOne();
      this.draw();
      const last = this.shown.map((column) => `${column.title}: “${visible(column.lastToken)}”`).join(", ");
      this.say(alive ? last : ENDED);
    });
  }

  /** End a run; it says nothing more, for something else is on the page by now. */
  stop() {
    this.running = null;
    this.runButton.textContent = "Run";
  }

  async run() {
    if (this.running) {
      this.guard(() => this.report(this.running));
      this.stop();
      return;
    }
    const run = { count: 0 }; // one that was stopped never goes on, even if another has begun
    try {
      if (this.typing) this.restart();
      if (!this.hasModels()) return;
      this.running = run;
      run.begin = performance.now();
      this.runButton.textContent = "Stop";
      await this.writeMany(run);
    } catch (error) {
      this.sayError(error);
    }
    if (this.running === run) this.stop();
  }

  async writeMany(run) {
    let drawn = run.begin;
    while (run.count < RUN_TOKENS && this.running === run && this.writeOne()) {
      run.count++;
      const pause = isCalm() ? 0 : Number(this.pace.value);
      if (!pause && performance.now() - drawn < WORK_MS) continue;
      if (!isCalm()) this.draw();
      await (pause ? sleep(pause) : isCalm() ? sleep(0) : nextFrame());
      drawn = performance.now();
    }
    if (this.running === run) this.report(run);
  }

  /** What a run has written. */
  report({ count, begin }) {
    this.draw();
    if (!count) return this.say(ENDED);
    const seconds = ((performance.now() - begin) / 1000).toFixed(2);
    const [first, ...others] = this.shown;
    const text = first && !others.length ? first.lastWords(count) : "";
    this.say(`${count} tokens written in ${seconds} s.`, text);
  }

  /** @param {string} [more] for those who listen; others see it elsewhere */
  say(text, more = "") {
    this.status.replaceChildren(text, element("span", { class: "pg-heard" }, more && ` ${more}`));
    this.status.classList.remove("pg-error");
  }

  /** A ReaderError is for the reader; anything else is a mistake of ours, and said as such. */
  sayError(error) {
    this.say(error instanceof ReaderError ? error.message : `Something went wrong in this page: ${error.message}`);
    this.status.classList.add("pg-error");
    if (!(error instanceof ReaderError)) console.error(error);
  }

  guard(action) {
    try {
      action();
    } catch (error) {
      this.sayError(error);
    }
  }
}
