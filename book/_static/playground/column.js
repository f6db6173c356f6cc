/** Everything about one model on the page: its text, its expectations, its memory. */

import { BarsView } from "./bars_view.js";
import { element } from "./dom.js";
import { NGramModel } from "./ngram.js";
import { Session } from "./session.js";
import { ContextView, StateView } from "./state_view.js";
import { TextView } from "./text_view.js";

const CELL_NAMES = { elman: "Elman", gru: "GRU", lstm: "LSTM" };

/** What a model of the manifest is called on the page. */
export function titleOf({ kind, config }) {
  return kind === "ngram" ? `${config.order}-gram` : (CELL_NAMES[config.cell] ?? config.cell);
}

function factsOf({ kind, config, about }) {
  const shape = kind === "ngram" ? "counted" : `${config.num_layers} × ${config.emb_dim} units`;
  const quality = about.bits_per_byte ? `, ${about.bits_per_byte.toFixed(2)} bits per byte on held-out text` : "";
  return shape + quality;
}

export class Column {
  /**
   * @param {any} entry of the manifest
   * @param {Set<string>} parts what is shown: text, bars, state
   * @param {{onChange: () => void}} handlers after a token was picked or the state changed by hand
   */
  constructor(entry, model, tokenizer, parts, { onChange }) {
    const title = titleOf(entry);
    this.title = title;
    this.session = new Session(model, tokenizer);
    const pick = (id) => {
      if (!this.session.ended) this.session.read(id, false);
      onChange();
    };
    const Memory = model instanceof NGramModel ? ContextView : StateView;
    this.views = [
      parts.has("text") && new TextView(this.session, title),
      parts.has("bars") && new BarsView(this.session, title, pick),
      parts.has("state") && new Memory(this.session, title, onChange),
    ].filter(Boolean);
    const heading = element("p", { class: "pg-heading" }, element("strong", {}, title), ` ${factsOf(entry)}`);
    this.element = element(
      "section",
      { class: "pg-column", "aria-label": title },
      heading,
      ...this.views.map((view) => view.element),
    );
  }

  /** @param {import("./sampling.js").Sampling} sampling */
  draw(sampling) {
    for (const view of this.views) view.draw(sampling);
  }

  /** The last token by itself. */
  get lastToken() {
    return this.session.tokenizer.label(this.session.text.at(-1).id);
  }

  /** The text of the last tokens. @param {number} count */
  lastWords(count) {
    const { text, tokenizer } = this.session;
    return tokenizer.decode(text.slice(text.length - count).map(({ id }) => id));
  }
}
