/** Asks the playground's own modules what they calculate; for the tests, which put this file beside them. */

import { openLibrary } from "./library.js";
import { draw, nextTokenProbs, randomNumbers } from "./sampling.js";
import { Session } from "./session.js";
import { checksum, sha256 } from "./sha256.js";
import { fromHalf } from "./tensors.js";

const ASKED = {
  /** Ids of each text; a message where one is refused. */
  async encode({ tokenizer }, { texts }) {
    return texts.map((text) => {
      try {
        return tokenizer.encode(text);
      } catch (error) {
        return error.message;
      }
    });
  },

  async decode({ tokenizer }, { rows }) {
    return rows.map((ids) => tokenizer.decode(ids));
  },

  async labels({ tokenizer }, { ids }) {
    return ids.map((id) => tokenizer.label(id));
  },

  /** Logits after each token: (T, V). */
  async logits(library, { name, ids }) {
    const model = await library.load(name);
    let state = model.initialState();
    return ids.map((id) => {
      state = model.step(id, state);
      return [...model.logits(state)];
    });
  },

  /** What a session writes, and how surprised it is. */
  async write(library, { name, promptIds, count, sampling, seed }) {
    const session = new Session(await library.load(name), library.tokenizer);
    session.start(promptIds, seed);
    for (let i = 0; i < count; i++) session.write(sampling);
    return session.text;
  },

  async filter(library, { rows, sampling }) {
    return rows.map((row) => [...nextTokenProbs(Float64Array.from(row), sampling)]);
  },

  async draw(library, { probs, seed, count }) {
    const random = randomNumbers(seed);
    return Array.from({ length: count }, () => draw(Float64Array.from(probs), random));
  },

  /** The number behind each pattern of 16 bits; text, since JSON knows no infinity. */
  async halves(library, { bits }) {
    return Array.from(fromHalf(Uint16Array.from(bits)), String);
  },

  async sums(library, { lengths }) {
    const contents = lengths.map((length) => Uint8Array.from({ length }, (_, i) => (31 * i + length) % 256));
    return Promise.all(contents.map(async (content) => [sha256(content), await checksum(content)]));
  },
};

/** @param {string} base folder of the models @param {string} question as JSON: {what, ...} @returns {string} JSON */
export async function ask(base, question) {
  const { what, ...details } = JSON.parse(question);
  return JSON.stringify(await ASKED[what](await openLibrary(new URL(base)), details));
}
