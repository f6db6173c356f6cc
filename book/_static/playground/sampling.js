/**
 * From logits to the next token: temperature, top-k, top-p, and a draw. The same cuts in the same order as
 * lmcore/sampling.py (but a k above V keeps all); only the random numbers are others, so that a seed gives another
 * text than in Python.
 *
 * @typedef {{temperature: number, topK: number | null, topP: number | null}} Sampling
 */

import { ReaderError } from "./errors.js";

/** Throws ReaderError for a value outside its range. @param {Sampling} sampling */
export function checkSampling({ temperature, topK, topP }) {
  if (!(temperature >= 0 && temperature < Infinity)) {
    throw new ReaderError(`temperature is ${temperature}; it must be 0 (greedy) or above`);
  }
  if (topK !== null && !(Number.isInteger(topK) && topK >= 1)) {
    throw new ReaderError(`top_k is ${topK}; it must be at least 1`);
  }
  if (topP !== null && !(topP > 0 && topP <= 1)) throw new ReaderError(`top_p is ${topP}; it must be in (0, 1]`);
}

/** @param {Float64Array} logits (V,) @returns {Float64Array} (V,) */
export function softmax(logits) {
  const top = largest(logits);
  const sizes = logits.map((logit) => Math.exp(logit - top));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return sizes.map((size) => size / total);
}

/** -log2 p of one token under the model itself: no temperature, no cut. @returns {number} bits */
export function surprise(logits, token) {
  const top = largest(logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
  return (Math.log(total) - (logits[token] - top)) / Math.LN2;
}

/** The largest logit; throws ReaderError if it is no finite number. */
function largest(logits) {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity); // NaN if any is
  if (!Number.isFinite(top)) throw new ReaderError(`the largest logit is ${top}: the model's weights are damaged`);
  return top;
}

/** All but the k largest out; ties at the k-th place all stay. */
function keepTopK(logits, k) {
  const smallestKept = logits.slice().sort()[Math.max(0, logits.length - k)];
  return logits.map((logit) => (logit < smallestKept ? -Infinity : logit));
}

/** The fewest likeliest tokens that together reach p; the one that crosses p belongs to them. */
function keepTopP(logits, p) {
  const probs = softmax(logits);
  const kept = new Float64Array(logits.length).fill(-Infinity);
  let before = 0; // probability of all likelier tokens
  const possible = Uint32Array.from(probs.keys()).filter((token) => probs[token]);
  for (const token of possible.sort((a, b) => probs[b] - probs[a] || a - b)) {
    if (before >= p) break;
    kept[token] = logits[token];
    before += probs[token];
  }
  return kept;
}

/** Ids of the likeliest tokens, in their order. @param {Float64Array} probs (V,) @returns {number[]} */
export function likeliest(probs, count) {
  const best = [];
  for (let token = 0; token < probs.length; token++) {
    if (best.length === count && probs[token] <= probs[best.at(-1)]) continue;
    const place = best.findIndex((other) => probs[token] > probs[other]);
    best.splice(place < 0 ? best.length : place, 0, token);
    if (best.length > count) best.pop();
  }
  return best;
}

/**
 * The distribution that the next token is drawn from.
 * @param {Float64Array} logits (V,) @param {Sampling} sampling @returns {Float64Array} (V,)
 */
export function nextTokenProbs(logits, sampling) {
  checkSampling(sampling);
  const { temperature, topK, topP } = sampling;
  if (temperature < 1e-30) {
    // dividing by so little would overflow, and greedy is the limit
    const probs = new Float64Array(logits.length);
    probs[logits.indexOf(largest(logits))] = 1;
    return probs;
  }
  let scaled = logits.map((logit) => logit / temperature);
  if (topK !== null) scaled = keepTopK(scaled, topK);
  if (topP !== null) scaled = keepTopP(scaled, topP);
  return softmax(scaled);
}

/** One index, each as likely as its probability. @param {() => number} random numbers in [0, 1) */
export function draw(probs, random) {
  const point = random() * probs.reduce((sum, p) => sum + p, 0);
  let edge = 0;
  let last = 0;
  for (let token = 0; token < probs.length; token++) {
    if (!probs[token]) continue;
    edge += probs[token];
    last = token;
    if (edge > point) break;
  }
  return last; // the product may round up to the last edge
}

/**
 * Numbers in [0, 1) that follow from a seed: a counter, mixed (Steele et al. 2014, SplitMix; the mixing is
 * that of MurmurHash3).
 * @param {number} seed a whole number from 0 to 2**32 - 1
 */
export function randomNumbers(seed) {
  let counter = seed | 0;
  return () => {
    counter = (counter + 0x9e3779b9) | 0;
    let mixed = counter;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}
