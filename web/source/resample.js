// Resizing as rilievo.models.resampling.resizing and Pillow do it, to the last bit for bytes: two passes of a
// filter that is widened where a picture shrinks. Bytes are summed as whole numbers, as Pillow does, and fields
// in float32.
//
// A picture is { height, width, values } with RGBA bytes; a field is the same with float32 numbers. A size is
// [height, width], and a box is [left, top, right, bottom].

import { clamp } from "relief";

// Bits behind the point in Pillow's whole-number weights, and one half in this format, which rounds.
const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);
// Least factor by which the triangle filter shrinks after a box filter.
const GAP = 3;
// Parameter a of Pillow's bicubic filter.
const BICUBIC = -0.5;

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

function bicubic(x) {
  const distance = Math.abs(x);
  if (distance < 1) return ((BICUBIC + 2) * distance - (BICUBIC + 3)) * distance * distance + 1;
  return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * BICUBIC : 0;
}

/** Antialiased filters of photographs: their weight at a distance [px], which is 0 beyond `reach`. */
export const FILTERS = {
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { reach: 2, weight: bicubic },
  lanczos: { reach: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/**
 * Filters of a network's answer by the names of rilievo.models.resampling.inference. Those with `points` take this
 * many pixels on either side even where they shrink.
 */
export const ANSWER_FILTERS = { antialiased: FILTERS.bilinear, linear: { points: 1 }, cubic: { points: 2 } };

/**
 * The pixels that make each pixel of a resized line, and their weights, which sum to 1. Pixel i takes `counts[i]`
 * pixels from `firsts[i]`; its weights begin at i * `stride`.
 * @typedef {{firsts: Int32Array, counts: Int32Array, weights: any, stride: number}} Taps
 */

/**
 * Taps that resize the part from `start` to `end` of a line to `count` pixels.
 * @param {number} length Pixels of the line.
 * @param {number} start
 * @param {number} end
 * @param {number} count
 * @param {any} filter
 * @returns {Taps}
 */
function filterTaps(length, start, end, count, filter) {
  if (filter.points) return pointTaps(length, start, end, count, filter.points);

  const scale = (end - start) / count;
  const stretch = Math.max(scale, 1);
  const support = filter.reach * stretch;
  const stride = 2 * Math.ceil(support) + 1;
  const firsts = new Int32Array(count);
  const counts = new Int32Array(count);
  const weights = new Float64Array(count * stride);
  for (let index = 0; index < count; index++) {
    const centre = start + (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(length, Math.trunc(centre + support + 0.5));
    let total = 0;
    for (let pixel = first; pixel < last; pixel++) {
      const weight = filter.weight((pixel - centre + 0.5) / stretch);
      weights[index * stride + pixel - first] = weight;
      total += weight;
    }
    if (total) for (let tap = 0; tap < last - first; tap++) weights[index * stride + tap] /= total;
    firsts[index] = first;
    counts[index] = last - first;
  }
  return { firsts, counts, weights, stride };
}

// Taps without antialiasing, in single precision as in PyTorch; the pixels at the ends are repeated.
function pointTaps(length, start, end, count, points) {
  const round = Math.fround;
  const stride = 2 * points;
  const enlargement = count / (end - start);
  const scale = round(length / round(length * enlargement));
  const offset = start * enlargement;
  const toPixel = (index) => clamp(0, index, length - 1);

  const firsts = new Int32Array(count);
  const counts = new Int32Array(count);
  const weights = new Float64Array(count * stride);
  for (let index = 0; index < count; index++) {
    const place = round(index + offset + 0.5);
    const position = points > 1 ? round(scale * place - 0.5) : Math.max(0, round(round(scale * place) - 0.5));
    const before = Math.floor(position);
    const fraction = round(position - before);
    const first = before + 1 - points;
    firsts[index] = toPixel(first);
    counts[index] = toPixel(first + stride - 1) - firsts[index] + 1;
    const tapWeights = points > 1 ? cubicWeights(fraction) : [1 - fraction, fraction];
    tapWeights.forEach((weight, tap) => {
      weights[index * stride + toPixel(first + tap) - firsts[index]] += weight;
    });
  }
  return { firsts, counts, weights, stride };
}

// Weights of four neighbours with a = -0.75, which is PyTorch's, for a point `t` behind the second one.
function cubicWeights(t) {
  const near = (x) => (1.25 * x - 2.25) * x * x + 1;
  const far = (x) => ((-0.75 * x + 3.75) * x - 6) * x + 3;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
}

function toWholeWeights(taps) {
  const toWhole = (weight) => Math.trunc(weight * 2 ** PRECISION_BITS + (weight < 0 ? -0.5 : 0.5));
  return { ...taps, weights: Int32Array.from(taps.weights, toWhole) };
}

const toByte = (sum) => clamp(0, sum >> PRECISION_BITS, 255);

function resizeRowsOfPicture({ height, width, values }, { firsts, counts, weights, stride }) {
  const newWidth = firsts.length;
  const result = new Uint8ClampedArray(4 * height * newWidth).fill(255);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < newWidth; column++, to += 4) {
      const from = 4 * (row * width + firsts[column]);
      for (let channel = 0; channel < 3; channel++) {
        let sum = HALF;
        for (let tap = 0; tap < counts[column]; tap++) {
          sum += values[from + 4 * tap + channel] * weights[column * stride + tap];
        }
        result[to + channel] = toByte(sum);
      }
    }
  }
  return { height, width: newWidth, values: result };
}

function resizeColumnsOfPicture({ width, values }, taps) {
  const height = taps.firsts.length;
  const sums = new Int32Array(4 * width);
  const result = new Uint8ClampedArray(4 * width * height);
  sumRows(values, taps, sums, HALF, (row) => result.set(sums.map(toByte), row * sums.length));
  return { height, width, values: result };
}

// For each new row, sets `sums` to `initial` plus the weighted sum of rows, and calls `finish(row)`.
function sumRows(values, { firsts, counts, weights, stride }, sums, initial, finish) {
  const length = sums.length;
  for (let row = 0; row < firsts.length; row++) {
    sums.fill(initial);
    for (let tap = 0; tap < counts[row]; tap++) {
      const weight = weights[row * stride + tap];
      const start = (firsts[row] + tap) * length;
      for (let index = 0; index < length; index++) sums[index] += values[start + index] * weight;
    }
    finish(row);
  }
}

/**
 * A picture, or a box of it, at another size.
 * @param {any} picture
 * @param {number[]} size
 * @param {any} filter One of FILTERS.
 * @param {number[]} [box]
 */
export function resizePicture(picture, [height, width], filter, box) {
  const [left, top, right, bottom] = (box ?? [0, 0, picture.width, picture.height]).map(Math.fround);
  const resizeRows = (source) => {
    if (width === picture.width && !left && right === width) return source;
    return resizeRowsOfPicture(source, toWholeWeights(filterTaps(picture.width, left, right, width, filter)));
  };
  const resizeColumns = (source) => {
    if (height === picture.height && !top && bottom === height) return source;
    return resizeColumnsOfPicture(source, toWholeWeights(filterTaps(picture.height, top, bottom, height, filter)));
  };
  // Pillow 13 begins with the axis that shrinks more, which decides how it rounds.
  const columnsFirst = picture.height - height > Math.max(0, 2 * (picture.width - width));
  return columnsFirst ? resizeRows(resizeColumns(picture)) : resizeColumns(resizeRows(picture));
}

/**
 * A picture shrunk without aliasing: by the triangle filter, after a box filter if it shrinks much.
 * @param {any} picture
 * @param {number[]} size
 */
export function shrink(picture, size) {
  const [height, width] = size;
  if (picture.height === height && picture.width === width) return picture;
  const boxHeight = Math.max(1, Math.trunc(picture.height / height / GAP));
  const boxWidth = Math.max(1, Math.trunc(picture.width / width / GAP));
  const box = [0, 0, picture.width / boxWidth, picture.height / boxHeight];
  return resizePicture(boxMeans(picture, boxHeight, boxWidth), size, FILTERS.bilinear, box);
}

// Means of boxes of pixels, as Pillow's `reduce` rounds them; boxes at the right and lower edge may be smaller.
function boxMeans(picture, boxHeight, boxWidth) {
  if (boxHeight === 1 && boxWidth === 1) return picture;
  const { height, width, values } = picture;
  const rows = Math.ceil(height / boxHeight);
  const columns = Math.ceil(width / boxWidth);
  const result = new Uint8ClampedArray(4 * rows * columns).fill(255);
  for (let row = 0, to = 0; row < rows; row++) {
    const top = row * boxHeight;
    const bottom = Math.min(height, top + boxHeight);
    for (let column = 0; column < columns; column++, to += 4) {
      const left = column * boxWidth;
      const right = Math.min(width, left + boxWidth);
      const count = (bottom - top) * (right - left);
      const factor = Math.trunc(Math.fround(2 ** 24 / count));
      for (let channel = 0; channel < 3; channel++) {
        let sum = count >> 1;
        for (let y = top; y < bottom; y++) {
          const end = 4 * (y * width + right);
          for (let from = 4 * (y * width + left) + channel; from < end; from += 4) sum += values[from];
        }
        result[to + channel] = Math.floor((sum * factor) / 2 ** 24);
      }
    }
  }
  return { height: rows, width: columns, values: result };
}

/**
 * A field, or a box of it, at another size; the centres of pixels are at halves.
 * @param {any} field
 * @param {number[]} size
 * @param {number[] | null} [box]
 * @param {any} [filter] One of ANSWER_FILTERS.
 */
export function resizeField(field, [height, width], box, filter = ANSWER_FILTERS.antialiased) {
  if (!box && field.height === height && field.width === width) return field;
  const [left, top, right, bottom] = (box ?? [0, 0, field.width, field.height]).map(Math.fround);
  const columnTaps = filterTaps(field.width, left, right, width, filter);
  const rowTaps = filterTaps(field.height, top, bottom, height, filter);

  const wide = resizeRowsOfField(field, columnTaps);
  const sums = new Float64Array(width);
  const values = new Float32Array(height * width);
  sumRows(wide, rowTaps, sums, 0, (row) => values.set(sums, row * width));
  return { height, width, values };
}

function resizeRowsOfField({ height, width, values }, { firsts, counts, weights, stride }) {
  const newWidth = firsts.length;
  const result = new Float32Array(height * newWidth);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < newWidth; column++, to++) {
      const start = row * width + firsts[column];
      let sum = 0;
      for (let tap = 0; tap < counts[column]; tap++) sum += values[start + tap] * weights[column * stride + tap];
      result[to] = sum;
    }
  }
  return result;
}

/**
 * A picture resized from the four nearest pixels of each point: no antialiasing, no rounding.
 * @param {any} picture
 * @param {number[]} size
 * @param {boolean} alignsCorners Whether the centres of the corner pixels meet, else the outer edges do.
 * @param {number[]} border Rows and columns by which the picture is reflected at each side before.
 * @returns {Float32Array} Three numbers a pixel.
 */
export function bilinearPoints(picture, [height, width], alignsCorners, [rowBorder, columnBorder]) {
  const rows = neighbours(picture.height, height, alignsCorners, rowBorder);
  const columns = neighbours(picture.width, width, alignsCorners, columnBorder);
  const { values } = picture;
  const result = new Float32Array(3 * height * width);
  for (let row = 0, to = 0; row < height; row++) {
    const upper = rows.before[row] * picture.width;
    const lower = rows.after[row] * picture.width;
    const down = rows.fraction[row];
    for (let column = 0; column < width; column++) {
      const left = columns.before[column];
      const right = columns.after[column];
      const across = columns.fraction[column];
      for (let channel = 0; channel < 3; channel++, to++) {
        const valueAt = (pixel) => values[4 * pixel + channel];
        const top = valueAt(upper + left) * (1 - across) + valueAt(upper + right) * across;
        const bottom = valueAt(lower + left) * (1 - across) + valueAt(lower + right) * across;
        result[to] = top * (1 - down) + bottom * down;
      }
    }
  }
  return result;
}

// The two pixels between which each new pixel of a line lies, and how far behind the first of them.
function neighbours(length, count, alignsCorners, border) {
  const paddedLength = length + 2 * border;
  const period = Math.max(1, 2 * (length - 1));
  const reflect = (index) => {
    if (length === 1) return 0;
    const folded = (((index - border) % period) + period) % period;
    return Math.min(folded, period - folded);
  };
  const positionOf = (index) => {
    if (alignsCorners) return (index * (paddedLength - 1)) / Math.max(count - 1, 1);
    return ((index + 0.5) * paddedLength) / count - 0.5;
  };

  const before = new Int32Array(count);
  const after = new Int32Array(count);
  const fraction = new Float32Array(count);
  for (let index = 0; index < count; index++) {
    const position = clamp(0, Math.fround(positionOf(index)), paddedLength - 1);
    const whole = Math.trunc(position);
    before[index] = reflect(whole);
    after[index] = reflect(Math.min(whole + 1, paddedLength - 1));
    fraction[index] = position - whole;
  }
  return { before, after, fraction };
}
