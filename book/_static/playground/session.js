/** One model reading and writing one text: what it has read, what it remembers, what it expects. No pictures. */

import { draw, nextTokenProbs, randomNumbers, surprise } from "./sampling.js";

/**
 * A token of the text. `bits` is its surprise under the model when it came, `rank` how many tokens were
 * likelier, plus one; both null for <bos>, which nobody predicts.
 * @typedef {{id: number, bits: number | null, rank: number | null, written: boolean}} Entry
 */
export class Session {
  constructor(model, tokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.version = 0; // goes up when the text begins anew
    this.start([], 0);
  }

  /** An empty state, then <bos> and the prompt; the draws begin anew, too. @param {number[]} promptIds */
  start(promptIds, seed) {
    this.version++;
    this.random = randomNumbers(seed);
    this.state = this.model.initialState();
    this.known = null; // the logits of this state, once they are worked out
    const { bosId } = this.tokenizer;
    /** @type {Entry[]} */
    this.text = [{ id: bosId, bits: null, rank: null, written: false }];
    this.advance(bosId);
    for (const id of promptIds) this.read(id, false);
  }

  /** Logits for the next token. @returns {Float64Array} (V,) */
  get logits() {
    this.known ??= this.model.logits(this.state);
    return this.known;
  }

  /** Logits that may be drawn from: tokens without a text are out. @returns {Float64Array} (V,) */
  get drawable() {
    const logits = this.logits.slice();
    for (const id of this.tokenizer.never) logits[id] = -Infinity;
    return logits;
  }

  /** Whether the model has ended the text. */
  get ended() {
    return this.text.at(-1).id === this.tokenizer.eosId;
  }

  /** @param {number} id @param {boolean} written by the model, and not by the reader @returns {Entry} */
  read(id, written) {
    const { logits } = this;
    const rank = 1 + logits.reduce((count, logit) => count + (logit > logits[id]), 0);
    const entry = { id, bits: surprise(logits, id), rank, written };
    this.text.push(entry);
    this.advance(id);
    return entry;
  }

  /** Draw the next token and read it; null at the end of the text. @returns {Entry | null} */
  write(sampling) {
    if (this.ended) return null;
    return this.read(draw(nextTokenProbs(this.drawable, sampling), this.random), true);
  }

  /** The memory of having read nothing; the text stays on the page, the model does not know it any more. */
  forget() {
    this.change(this.model.initialState());
  }

  /** Set one number of the state. @param {{layer: number, part: number, unit: number, value: number}} change */
  edit(change) {
    this.change(this.model.edited(this.state, change));
  }

  advance(id) {
    this.change(this.model.step(id, this.state));
  }

  change(state) {
    this.state = state;
    this.known = null;
  }
}
