/** The next-token distribution as bars: solid with the sliders, pale without. A press writes that token. */

import { element, percent, visible } from "./dom.js";
import { likeliest, nextTokenProbs, softmax } from "./sampling.js";

const SHOWN = 10;

export class BarsView {
  /**
   * @param {import("./session.js").Session} session
   * @param {string} label for those who do not see it
   * @param {(id: number) => void} onPick
   */
  constructor(session, label, onPick) {
    this.session = session;
    this.rows = Array.from({ length: Math.min(SHOWN, session.tokenizer.vocabSize) }, () => this.row(onPick));
    this.sum = element("p", { class: "pg-detail" });
    const name = `${label}: likeliest next tokens; press one to write it`;
    const list = element("ol", { class: "pg-bars", "aria-label": name }, ...this.rows.map((row) => row.item));
    this.element = element("div", {}, list, this.sum);
  }

  row(onPick) {
    const row = { id: 0 };
    row.name = element("span", { class: "pg-bar-name" });
    row.plain = element("span", { class: "pg-bar-plain" });
    row.solid = element("span", { class: "pg-bar-solid" });
    row.value = element("span", { class: "pg-bar-value" });
    const track = element("span", { class: "pg-bar-track" }, row.plain, row.solid);
    row.button = element("button", { type: "button", onclick: () => onPick(row.id) }, row.name, track, row.value);
    row.item = element("li", {}, row.button);
    return row;
  }

  /** @param {import("./sampling.js").Sampling} sampling */
  draw(sampling) {
    const { session } = this;
    const logits = session.drawable;
    const plain = softmax(logits);
    const probs = nextTokenProbs(logits, sampling);
    const order = likeliest(plain, this.rows.length);
    this.rows.forEach((row, i) => {
      const id = order[i];
      const name = visible(session.tokenizer.label(id));
      row.id = id;
      row.name.textContent = name;
      row.value.textContent = percent(probs[id]);
      row.plain.style.width = `${100 * plain[id]}%`;
      row.solid.style.width = `${100 * probs[id]}%`;
      row.button.disabled = session.ended;
      row.item.classList.toggle("pg-out", probs[id] === 0);
      const both = `${percent(probs[id])}, without sliders ${percent(plain[id])}`;
      row.button.setAttribute("aria-label", `${name}: ${both}`);
    });
    this.sum.textContent = this.summary(probs);
  }

  summary(probs) {
    const kept = probs.reduce((count, p) => count + (p > 0), 0);
    const entropy = probs.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0);
    const among = `${kept} of ${probs.length} tokens can come`;
    return `${among}; entropy ${entropy.toFixed(1)} bits, as of ${(2 ** entropy).toFixed(1)} equally likely ones.`;
  }
}
