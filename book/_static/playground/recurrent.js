/** A recurrent language model: embedding -> layers -> output layer, one token at a time. */

import { CELLS } from "./cells.js";
import { ReaderError } from "./errors.js";
import { timesVector } from "./tensors.js";

/**
 * The state is one list of parts per layer, state[layer][part] (H,). It is taken in and handed back.
 * @typedef {Float64Array[][]} State
 */
export class RecurrentModel {
  /**
   * @param {{cell: string, emb_dim: number, num_layers: number}} config
   * @param {Object<string, import("./tensors.js").Tensor>} tensors by their names in lmcore; without
   *   "output.weight" the embedding serves as output matrix, too (tied weights)
   */
  constructor(config, tensors) {
    if (!(config.cell in CELLS)) throw new ReaderError(`This page has no cell named “${config.cell}”.`);
    this.config = config;
    this.cell = CELLS[config.cell];
    this.embedding = tensors["embedding.weight"]; // (V, D)
    this.output = tensors["output.weight"] ?? this.embedding; // (V, D)
    this.bias = tensors["output.bias"]; // (V,)
    this.layers = Array.from({ length: config.num_layers }, (_, layer) => {
      const own = (name) => tensors[`layers.${layer}.${name}`];
      return { W: own("W"), U: own("U"), b: own("b"), b_u: own("b_u") };
    });
  }

  /** Zeros: the memory of having read nothing. @returns {State} */
  initialState() {
    return this.layers.map(() => this.cell.parts.map(() => new Float64Array(this.config.emb_dim)));
  }

  /** The state after one more token. @param {number} token @param {State} state @returns {State} */
  step(token, state) {
    const D = this.config.emb_dim;
    let x = this.embedding.data.subarray(token * D, (token + 1) * D);
    return state.map((parts, layer) => {
      const next = this.cell.step(this.layers[layer], x, parts);
      x = next[0];
      return next;
    });
  }

  /** Logits for the next token: all that the output layer sees is the last h. @returns {Float64Array} (V,) */
  logits(state) {
    return timesVector(this.output, state.at(-1)[0], this.bias.data);
  }

  /** A copy of the state with one number changed. @returns {State} */
  edited(state, { layer, part, unit, value }) {
    const next = state.map((parts) => parts.map((values) => values.slice()));
    next[layer][part][unit] = value;
    return next;
  }

  /**
   * What there is to look at; `kind` is "h" or "c".
   * @returns {{layer: number, part: number, kind: string, name: string, values: Float64Array}[]}
   */
  parts(state) {
    return state.flatMap((parts, layer) =>
      parts.map((values, part) => {
        const kind = this.cell.parts[part];
        return { layer, part, kind, name: `layer ${layer + 1}, ${kind}`, values };
      }),
    );
  }
}
