/** The prompt, the sliders of the distribution, and the seed. */

import { element, labelled } from "./dom.js";

const LONGEST_PROMPT = 1000; // characters; what lies beyond stays in the field, and is not read
const TOP_K = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, null]; // null: off
export const LARGEST_SEED = 2 ** 32 - 1;

export class PromptControl {
  /** @param {string} text at the start @param {() => void} onInput */
  constructor(text, onInput) {
    this.input = element("textarea", { rows: 2, spellcheck: "false", oninput: onInput });
    this.input.value = text;
    this.element = labelled("Prompt", this.input);
  }

  /**
   * The tokens of the prompt, and a sentence about them; throws ReaderError for half of a surrogate pair.
   * @param {import("./tokenizer.js").Tokenizer} tokenizer @returns {{ids: number[], said: string}}
   */
  read(tokenizer) {
    const characters = [...this.input.value]; // whole ones, so that the cut parts no pair
    const ids = tokenizer.encode(characters.slice(0, LONGEST_PROMPT).join(""));
    if (characters.length <= LONGEST_PROMPT) return { ids, said: `The prompt has ${ids.length} tokens.` };
    const [all, limit] = [characters.length, LONGEST_PROMPT].map((count) => count.toLocaleString("en"));
    const cut = `The prompt has ${all} characters; only the first ${limit} were read`;
    return { ids, said: `${cut}, ${ids.length} tokens.` };
  }
}

/** A slider that says its value beside itself. */
function slider(label, attributes, say, onInput) {
  const said = element("span", { class: "pg-number" });
  const input = element("input", {
    type: "range",
    ...attributes,
    oninput: () => {
      tell();
      onInput();
    },
  });
  const tell = () => {
    said.textContent = say(Number(input.value));
    input.setAttribute("aria-valuetext", said.textContent);
  };
  tell();
  return { input, field: labelled(label, input, said) };
}

export class SamplingControls {
  /** @param {number} temperature at the start @param {() => void} onChange */
  constructor(temperature, onChange) {
    const sayTemperature = (t) => (t === 0 ? "0 (greedy)" : t.toFixed(2));
    const sayTopK = (i) => `${TOP_K[i] ?? "off"}`;
    const sayTopP = (p) => (p === 1 ? "off" : p.toFixed(2));
    const last = TOP_K.length - 1;
    const temperatures = { min: 0, max: 2, step: 0.05, value: temperature };
    this.temperature = slider("Temperature", temperatures, sayTemperature, onChange);
    this.topK = slider("Top-k", { min: 0, max: last, step: 1, value: last }, sayTopK, onChange);
    this.topP = slider("Top-p", { min: 0.05, max: 1, step: 0.05, value: 1 }, sayTopP, onChange);
    const fields = [this.temperature, this.topK, this.topP].map(({ field }) => field);
    this.element = element("div", { class: "pg-fields" }, ...fields);
  }

  /** @returns {import("./sampling.js").Sampling} */
  get sampling() {
    const topP = Number(this.topP.input.value);
    return {
      temperature: Number(this.temperature.input.value),
      topK: TOP_K[Number(this.topK.input.value)],
      topP: topP === 1 ? null : topP,
    };
  }
}

export class SeedControl {
  /** @param {() => void} onChange */
  constructor(onChange) {
    const range = { min: 0, max: LARGEST_SEED, step: 1, value: 0, required: true };
    this.input = element("input", { type: "number", ...range, onchange: onChange });
    const another = element(
      "button",
      {
        type: "button",
        onclick: () => {
          this.input.value = Math.floor(Math.random() * 1e6);
          onChange();
        },
      },
      "Another seed",
    );
    this.element = element("div", { class: "pg-fields" }, labelled("Seed", this.input), another);
  }

  /** The seed, or null if the field holds none. @returns {number | null} */
  get seed() {
    return this.input.validity.valid ? Number(this.input.value) : null;
  }
}
