/**
 * An n-gram model by interpolated tables, as lmcore/ngram.py has it: from the shortest context to the longest,
 * probability = share + rest * (probability after the context without its first token).
 *
 * The state is the last order - 1 tokens and nothing else.
 */

/** The n-grams of one length, those of a context side by side, the contexts in the order of the level before. */
class Level {
  /**
   * @param {Uint16Array} followers (C,) how many tokens are kept after each context
   * @param {Uint16Array} tokens (M,) these tokens, in rising order after each context
   * @param {Float32Array} share (M,) the probability that each gets; the rest goes to the shorter context
   */
  constructor(followers, tokens, share) {
    this.tokens = tokens;
    this.share = share;
    this.starts = new Uint32Array(followers.length + 1);
    this.rest = new Float64Array(followers.length);
    followers.forEach((count, context) => {
      const start = this.starts[context];
      const stop = start + count;
      this.starts[context + 1] = stop;
      let given = 0;
      for (let i = start; i < stop; i++) given += share[i];
      this.rest[context] = 1 - given;
    });
  }

  /** Place of an n-gram by the place of its context and its last token; -1 if it is not kept. */
  find(context, token) {
    let low = this.starts[context];
    let high = this.starts[context + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tokens[middle] < token) low = middle + 1;
      else high = middle;
    }
    return low < this.starts[context + 1] && this.tokens[low] === token ? low : -1;
  }

  /** Put this level on top of the shorter ones. @param {Float64Array} probs (V,), changed in place */
  mixInto(probs, context) {
    const rest = this.rest[context];
    for (let i = 0; i < probs.length; i++) probs[i] *= rest;
    for (let i = this.starts[context]; i < this.starts[context + 1]; i++) probs[this.tokens[i]] += this.share[i];
  }
}

export class NGramModel {
  /** @param {{order: number, vocab_size: number}} config @param {Object<string, {data: any}>} tensors */
  constructor(config, tensors) {
    this.config = config;
    this.levels = Array.from({ length: config.order }, (_, k) => {
      const own = (name) => tensors[`${name}.${k + 1}`].data;
      return new Level(own("followers"), own("tokens"), own("share"));
    });
  }

  /** @returns {number[]} */
  initialState() {
    return [];
  }

  /** @param {number} token @param {number[]} state @returns {number[]} */
  step(token, state) {
    const text = [...state, token];
    return text.slice(Math.max(0, text.length - this.config.order + 1));
  }

  /** Natural-log probabilities. @param {number[]} state @returns {Float64Array} (V,) */
  logits(state) {
    const { vocab_size: V } = this.config;
    const probs = new Float64Array(V).fill(1 / V);
    for (let length = 0; length <= state.length; length++) {
      const context = this.place(state.slice(state.length - length));
      if (context >= 0) this.levels[length].mixInto(probs, context);
    }
    return probs.map(Math.log);
  }

  /** Place of a context in the level of its length; 0 for the empty one, -1 if it was never seen. */
  place(tokens) {
    let place = 0;
    for (let k = 0; k < tokens.length && place >= 0; k++) place = this.levels[k].find(place, tokens[k]);
    return place;
  }

  /** How many of the tokens in the state the tables know as a context. @param {number[]} state */
  known(state) {
    let length = state.length;
    while (this.place(state.slice(state.length - length)) < 0) length--;
    return length;
  }
}
