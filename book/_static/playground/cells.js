/**
 * One time step of each cell, written as in lmcore/cells.py and lmcore/gated.py: what goes in is x, the state
 * and the weights; what comes out is the new state. Nothing is kept in between.
 *
 * A state is a list of vectors (H,), of which the first is h, the part that the layer above sees.
 * The weights: W (input, blocks * H), U (H, blocks * H), b (blocks * H,), and for the GRU b_u (H,).
 *
 * @typedef {import("./tensors.js").Tensor} Tensor
 * @typedef {{W: Tensor, U: Tensor, b: Tensor, b_u?: Tensor}} Weights
 */

import { sigmoid, vectorTimes } from "./tensors.js";

/** h' = tanh(x W + h U + b). @param {Weights} cell @param {ArrayLike<number>} x @param {Float64Array[]} state */
function elman({ W, U, b }, x, [h]) {
  return [vectorTimes(h, U, vectorTimes(x, W, b.data)).map(Math.tanh)];
}

/** r, z, n side by side; h' = (1 - z) n + z h, so z is how much is kept. */
function gru({ W, U, b, b_u }, x, [h]) {
  const H = h.length;
  const fromInput = vectorTimes(x, W, b.data); // (3 H,)
  const fromState = vectorTimes(h, U); // (3 H,)
  const next = h.map((h_j, j) => {
    const r = sigmoid(fromInput[j] + fromState[j]);
    const z = sigmoid(fromInput[H + j] + fromState[H + j]);
    const n = Math.tanh(fromInput[2 * H + j] + r * (fromState[2 * H + j] + b_u.data[j]));
    return (1 - z) * n + z * h_j;
  });
  return [next];
}

/** i, f, g, o side by side; c' = f c + i g and h' = o tanh(c'). */
function lstm({ W, U, b }, x, [h, c]) {
  const H = h.length;
  const gates = vectorTimes(h, U, vectorTimes(x, W, b.data)); // (4 H,)
  const i = (j) => sigmoid(gates[j]);
  const f = (j) => sigmoid(gates[H + j]);
  const g = (j) => Math.tanh(gates[2 * H + j]);
  const o = (j) => sigmoid(gates[3 * H + j]);
  const nextC = c.map((c_j, j) => f(j) * c_j + i(j) * g(j));
  return [nextC.map((c_j, j) => o(j) * Math.tanh(c_j)), nextC];
}

/** By name: the step, and what the parts of its state are called. */
export const CELLS = {
  elman: { step: elman, parts: ["h"] },
  gru: { step: gru, parts: ["h"] },
  lstm: { step: lstm, parts: ["h", "c"] },
};
