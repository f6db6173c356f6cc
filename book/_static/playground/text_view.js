/** The text, each token coloured by its surprise; arrow keys or the mouse tell the number of one token. */

import { bitsText, element, newId, percent, visible } from "./dom.js";

const MOST_BITS = 14; // of surprise: no stronger colour beyond
const KEYS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity };

export class TextView {
  /** @param {import("./session.js").Session} session @param {string} label for those who do not see it */
  constructor(session, label) {
    this.session = session;
    this.list = element("div", {
      class: "pg-text",
      role: "listbox",
      tabindex: "0",
      "aria-label": `${label}: the text so far, token by token`,
      onkeydown: (event) => this.onKey(event),
      onfocus: () => this.choose(this.active ?? this.list.children.length - 1),
      onclick: (event) => this.chooseElement(event.target),
      onmouseover: (event) => this.chooseElement(event.target),
    });
    this.detail = element("p", { class: "pg-detail" }, "Surprise of a token: point at it, or use the arrow keys.");
    this.element = element("div", {}, this.list, this.detail);
    this.version = -1;
  }

  /** Add the tokens that are new; begin anew if the text did. */
  draw() {
    const { text, version } = this.session;
    if (version !== this.version) {
      this.version = version;
      this.list.replaceChildren();
      this.active = null;
      this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    }
    const added = text.slice(this.list.children.length);
    if (!added.length) return; // a slider was moved: the reader stays where they read
    this.list.append(...added.map((entry) => this.token(entry)));
    this.list.scrollTop = this.list.scrollHeight;
  }

  /** @param {import("./session.js").Entry} entry */
  token({ id, bits, written }) {
    const { tokenizer } = this.session;
    // a character of several tokens appears with the last of them
    const text = this.decoder.decode(tokenizer.bytes[id], { stream: true });
    const shown = text ? text.replace(/\n/g, "⏎\n") : tokenizer.label(id);
    const node = element(
      "span",
      {
        id: newId("token"),
        role: "option",
        "aria-selected": "false",
        "aria-label": `${visible(tokenizer.label(id))}${bits === null ? "" : `, ${bitsText(bits)}`}`,
        class: ["pg-token", written && "pg-written", !text && "pg-name"].filter(Boolean).join(" "),
      },
      shown,
    );
    if (bits !== null) node.style.setProperty("--pg-surprise", Math.min(1, bits / MOST_BITS).toFixed(3));
    return node;
  }

  onKey(event) {
    if (!(event.key in KEYS) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.choose((this.active ?? this.list.children.length) + KEYS[event.key]);
    this.list.children[this.active].scrollIntoView({ block: "nearest" });
  }

  chooseElement(target) {
    const place = Array.prototype.indexOf.call(this.list.children, target);
    if (place >= 0) this.choose(place);
  }

  /** @param {number} place in the text; beyond its ends the nearest */
  choose(place) {
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = Math.max(0, Math.min(place, this.list.children.length - 1));
    const node = this.list.children[this.active];
    node.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", node.id);
    this.detail.textContent = this.describe(this.session.text[this.active]);
  }

  describe({ id, bits, rank, written }) {
    const name = `“${visible(this.session.tokenizer.label(id))}”`;
    if (bits === null) return `${name} opens every text; nobody predicts it.`;
    const who = written ? "written by the model" : "given to the model";
    return `${name}, ${who}: ${bitsText(bits)} of surprise (probability ${percent(2 ** -bits)}, place ${rank}).`;
  }
}
