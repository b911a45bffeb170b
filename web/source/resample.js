// Resizing as rilievo.models.resampling.resizing and Pillow do it, to the last bit for bytes: two passes of a
// filter that is widened where a picture shrinks, in 22 bits for bytes and in float32 for fields.
//
// A picture is { height, width, values } of RGBA bytes, a field the same of float32 numbers.

import { clamp } from "relief";

const BITS = 22;
const GAP = 3; // what is left for the triangle filter to shrink by, where boxes go first

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

export const FILTERS = {
  bilinear: { reach: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    reach: 2,
    at(x) {
      const far = Math.abs(x), a = -0.5;
      if (far < 1) return ((a + 2) * far - (a + 3)) * far * far + 1;
      return far < 2 ? (((far - 5) * far + 8) * far - 4) * a : 0;
    },
  },
  lanczos: { reach: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

// Filters of a network's answer by the names of rilievo.models.resampling.inference; those of
// `points` take so many pixels on either side, also where it shrinks.
export const ANSWER_FILTERS = { antialiased: FILTERS.bilinear, linear: { points: 1 }, cubic: { points: 2 } };

// Of every pixel of a line of `count`: the first pixel that it takes of the part from `start` to
// `end` of a line of `length`, how many, and their weights, which sum to 1.
/** @param {any} length @param {any} start @param {any} end @param {any} count @param {any} filter */
function taps(length, start, end, count, { reach, at, points: pixels }) {
  if (pixels) return pointTaps(length, start, end, count, pixels);
  const scale = (end - start) / count, wide = Math.max(scale, 1), support = reach * wide;
  const most = 2 * Math.ceil(support) + 1;
  const first = new Int32Array(count), many = new Int32Array(count);
  const weights = new Float64Array(count * most);
  for (let each = 0; each < count; each++) {
    const centre = start + (each + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5));
    const high = Math.min(length, Math.trunc(centre + support + 0.5));
    let total = 0;
    for (let pixel = low; pixel < high; pixel++) {
      const weight = at((pixel - centre + 0.5) / wide);
      weights[each * most + pixel - low] = weight;
      total += weight;
    }
    if (total) for (let tap = 0; tap < high - low; tap++) weights[each * most + tap] /= total;
    first[each] = low;
    many[each] = high - low;
  }
  return { first, many, weights, most };
}

// The same without antialiasing, in single precision as PyTorch; ends are repeated.
function pointTaps(length, start, end, count, pixels) {
  const round = Math.fround, most = 2 * pixels, share = count / (end - start);
  const scale = round(length / round(length * share)), offset = start * share;
  const first = new Int32Array(count), many = new Int32Array(count), weights = new Float64Array(count * most);
  const near = (x) => (1.25 * x - 2.25) * x * x + 1, far = (x) => ((-0.75 * x + 3.75) * x - 6) * x + 3;
  for (let each = 0; each < count; each++) {
    const place = round(each + offset + 0.5);
    const at = pixels > 1 ? round(scale * place - 0.5) : Math.max(0, round(round(scale * place) - 0.5));
    const before = Math.floor(at), t = round(at - before), low = before + 1 - pixels;
    const shares = pixels > 1 ? [far(t + 1), near(t), near(1 - t), far(2 - t)] : [1 - t, t];
    const inside = (pixel) => clamp(0, pixel, length - 1);
    first[each] = inside(low);
    many[each] = inside(low + most - 1) - first[each] + 1;
    shares.forEach((weight, tap) => { weights[each * most + inside(low + tap) - first[each]] += weight; });
  }
  return { first, many, weights, most };
}

const whole = (line) => ({ ...line, weights: Int32Array.from(line.weights, (each) => Math.trunc(each * 2 ** BITS + (each < 0 ? -0.5 : 0.5))) });

const byte = (sum) => clamp(0, sum >> BITS, 255);

function across(picture, { first, many, weights, most }) {
  const { height, width, values } = picture, count = first.length;
  const result = new Uint8ClampedArray(4 * height * count).fill(255);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < count; column++, to += 4) {
      const from = 4 * (row * width + first[column]), start = column * most;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 1 << (BITS - 1);
        for (let tap = 0; tap < many[column]; tap++) sum += values[from + 4 * tap + channel] * weights[start + tap];
        result[to + channel] = byte(sum);
      }
    }
  }
  return { height, width: count, values: result };
}

// Rows as weighted sums of others, added up in `sums`, which begin at a number; `become` makes one of the result of each.
function rowsOf(values, { first, many, weights, most }, sums, start, result, become) {
  const line = sums.length;
  for (let row = 0; row < first.length; row++) {
    sums.fill(start);
    for (let tap = 0; tap < many[row]; tap++) {
      const weight = weights[row * most + tap], from = (first[row] + tap) * line;
      for (let at = 0; at < line; at++) sums[at] += values[from + at] * weight;
    }
    result.set(become ? sums.map(become) : sums, row * line);
  }
  return result;
}

function down({ width, values }, column) {
  const height = column.first.length, line = 4 * width, result = new Uint8ClampedArray(line * height);
  return { height, width, values: rowsOf(values, column, new Int32Array(line), 1 << (BITS - 1), result, byte) };
}

// The pixels of a picture, or of a box [left, top, right, bottom] of it, at another size.
/** @param {any} picture @param {number[]} size @param {any} filter @param {number[]} [box] */
export function resizedPicture(picture, [height, width], filter, box) {
  const [left, top, right, bottom] = (box ?? [0, 0, picture.width, picture.height]).map(Math.fround);
  const sideways = (from) => (width !== picture.width || left || right !== width
    ? across(from, whole(taps(picture.width, left, right, width, filter))) : from);
  const downwards = (from) => (height !== picture.height || top || bottom !== height
    ? down(from, whole(taps(picture.height, top, bottom, height, filter))) : from);
  // The order in which Pillow 13 rounds.
  const isTall = picture.height - height > Math.max(0, 2 * (picture.width - width));
  return isTall ? sideways(downwards(picture)) : downwards(sideways(picture));
}

// Means of boxes of pixels; those at the right and lower edge have what is left.
function reduced(picture, tall, wide) {
  const { height, width, values } = picture;
  if (tall === 1 && wide === 1) return picture;
  const rows = Math.ceil(height / tall), columns = Math.ceil(width / wide);
  const result = new Uint8ClampedArray(4 * rows * columns).fill(255);
  for (let row = 0, to = 0; row < rows; row++) {
    const bottom = Math.min(height, (row + 1) * tall);
    for (let column = 0; column < columns; column++, to += 4) {
      const right = Math.min(width, (column + 1) * wide);
      const count = (bottom - row * tall) * (right - column * wide);
      const factor = Math.trunc(Math.fround(2 ** 24 / count));
      for (let channel = 0; channel < 3; channel++) {
        let sum = count >> 1;
        for (let y = row * tall; y < bottom; y++) {
          for (let from = 4 * (y * width + column * wide) + channel, end = 4 * (y * width + right); from < end; from += 4) sum += values[from];
        }
        result[to + channel] = Math.floor((sum * factor) / 2 ** 24);
      }
    }
  }
  return { height: rows, width: columns, values: result };
}

// Without aliasing: the triangle filter, after whole-number boxes on large photographs.
/** @param {any} picture @param {number[]} size */
export function shrunk(picture, [height, width]) {
  if (picture.height === height && picture.width === width) return picture;
  const tall = Math.max(1, Math.trunc(picture.height / height / GAP));
  const wide = Math.max(1, Math.trunc(picture.width / width / GAP));
  const small = reduced(picture, tall, wide);
  const box = [0, 0, picture.width / wide, picture.height / tall];
  return resizedPicture(small, [height, width], FILTERS.bilinear, box);
}

// A field, or a box of it, at another size; bilinear, with centres of pixels at halves.
/** @param {any} field @param {number[]} size @param {number[]} [box] @param {any} [filter] */
export function resizedField(field, [height, width], box, filter = FILTERS.bilinear) {
  if (!box && field.height === height && field.width === width) return field;
  const [left, top, right, bottom] = (box ?? [0, 0, field.width, field.height]).map(Math.fround);
  const line = taps(field.width, left, right, width, filter);
  const column = taps(field.height, top, bottom, height, filter);
  const wide = new Float32Array(field.height * width);
  for (let row = 0, to = 0; row < field.height; row++) {
    const start = row * field.width;
    for (let at = 0; at < width; at++, to++) {
      let sum = 0;
      const from = start + line.first[at], first = at * line.most, count = line.many[at];
      for (let tap = 0; tap < count; tap++) sum += field.values[from + tap] * line.weights[first + tap];
      wide[to] = sum;
    }
  }
  return { height, width, values: rowsOf(wide, column, new Float64Array(width), 0, new Float32Array(height * width)) };
}

// The four nearest pixels of each place: no antialiasing, no rounding. `corners` says whether the
// centres of the corner pixels are laid on each other; `border` are rows and columns reflected
// around the picture before. Three float32 numbers a pixel.
/** @param {any} picture @param {number[]} size @param {boolean} corners @param {number[]} borders */
export function points(picture, [height, width], corners, [above, beside]) {
  const rows = ends(picture.height, height, corners, above);
  const columns = ends(picture.width, width, corners, beside);
  const result = new Float32Array(3 * height * width), { values } = picture;
  for (let row = 0, to = 0; row < height; row++) {
    const upper = rows.before[row] * picture.width, lower = rows.after[row] * picture.width;
    const fall = rows.fraction[row];
    for (let column = 0; column < width; column++) {
      const left = columns.before[column], right = columns.after[column], slide = columns.fraction[column];
      for (let channel = 0; channel < 3; channel++, to++) {
        const at = (line, place) => values[4 * (line + place) + channel];
        const top = at(upper, left) * (1 - slide) + at(upper, right) * slide;
        const bottom = at(lower, left) * (1 - slide) + at(lower, right) * slide;
        result[to] = top * (1 - fall) + bottom * fall;
      }
    }
  }
  return result;
}

function ends(length, count, corners, border) {
  const all = length + 2 * border, period = Math.max(1, 2 * (length - 1));
  const before = new Int32Array(count), after = new Int32Array(count), fraction = new Float32Array(count);
  const reflected = (place) => {
    const folded = (((place - border) % period) + period) % period;
    return length === 1 ? 0 : Math.min(folded, period - folded);
  };
  for (let each = 0; each < count; each++) {
    const place = corners ? (each * (all - 1)) / Math.max(count - 1, 1) : ((each + 0.5) * all) / count - 0.5;
    const at = clamp(0, Math.fround(place), all - 1), low = Math.trunc(at);
    before[each] = reflected(low);
    after[each] = reflected(Math.min(low + 1, all - 1));
    fraction[each] = at - low;
  }
  return { before, after, fraction };
}
