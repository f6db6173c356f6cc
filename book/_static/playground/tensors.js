/**
 * The few operations that a recurrent step needs. A matrix is {shape: [rows, columns], data}, row after row;
 * vectors are Float64Array, because JavaScript calculates in doubles anyway.
 *
 * @typedef {{shape: number[], data: Float32Array}} Tensor
 */

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/**
 * start + x M, for a row vector.
 * @param {ArrayLike<number>} x (rows,) @param {Tensor} matrix (rows, columns)
 * @param {ArrayLike<number>} [start] (columns,), else zeros @returns {Float64Array} (columns,)
 */
export function vectorTimes(x, { shape: [rows, columns], data }, start) {
  const out = new Float64Array(columns);
  if (start) out.set(start);
  for (let i = 0, at = 0; i < rows; i++, at += columns) {
    const scale = x[i];
    for (let j = 0; j < columns; j++) out[j] += scale * data[at + j];
  }
  return out;
}

/**
 * start + M x, for a column vector.
 * @param {Tensor} matrix (rows, columns) @param {ArrayLike<number>} x (columns,)
 * @param {ArrayLike<number>} start (rows,) @returns {Float64Array} (rows,)
 */
export function timesVector({ shape: [rows, columns], data }, x, start) {
  const out = new Float64Array(rows);
  for (let i = 0, at = 0; i < rows; i++, at += columns) {
    let sum = start[i];
    for (let j = 0; j < columns; j++) sum += data[at + j] * x[j];
    out[i] = sum;
  }
  return out;
}

/**
 * Half-precision numbers (IEEE 754), given by their bits. Most browsers have no array type for them yet.
 * @param {Uint16Array} halves @returns {Float32Array}
 */
export function fromHalf(halves) {
  const scales = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 25));
  return Float32Array.from(halves, (bits) => {
    const exponent = (bits >> 10) & 31;
    const digits = bits & 1023;
    const size =
      exponent === 31
        ? digits ? NaN : Infinity
        : exponent ? (digits + 1024) * scales[exponent] : digits * scales[1];
    return bits >> 15 ? -size : size;
  });
}
