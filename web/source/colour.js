// Depth and normals as pictures for people: rilievo.io.map_pictures and rilievo.pages.pictures.

import { clamp, listOf, quantile } from "relief";
import { isDepth } from "./preparation.js";

const SAMPLES = 1 << 16, NEAREST = 1e-30, CONSTANT = 1e-6, LEAST_SPAN = 1.5, LEAST_SHARE = 0.6, MAP_SIDE = 1024, TICKS = 5;
const INVALID = [128, 128, 128], SKY = [206, 214, 224];

// The number that is drawn for one of depth: near has the last colour.
export const drawn = (kind) => {
  if (isDepth(kind)) return (value) => 1 / Math.max(value, NEAREST);
  return kind === "affine_inverse" ? (value) => value : (value) => -value;
};

// The drawn numbers { low, high } that get the first and the last colour: percentiles 2 and 98, the near end without
// the lowest tenth of the rows.
export function colourRange({ depth, valid, sky, height, width, kind }) {
  const step = Math.max(1, Math.ceil(Math.sqrt((height * width) / SAMPLES))), number = drawn(kind);
  const numbers = [], rows = Math.ceil(0.9 * Math.ceil((height - (step >> 1)) / step));
  let upper = 0;
  for (let row = step >> 1; row < height; row += step) {
    for (let column = step >> 1; column < width; column += step) {
      const at = row * width + column;
      if ((!valid || valid[at]) && !sky?.[at]) numbers.push(number(depth[at]));
    }
    if (row < rows * step) upper = numbers.length;
  }
  if (!numbers.length) return { low: 0, high: 1 };
  const last = upper ? quantile(numbers.slice(0, upper), 0.98) : Infinity;
  const [low, most] = [0.02, 0.98].map((share) => quantile(numbers, share));
  const high = Math.min(most, Math.max(last, low + LEAST_SHARE * (most - low)));
  const middle = (low + high) / 2, half = (high - low) / 2, least = (middle * (LEAST_SPAN - 1)) / (LEAST_SPAN + 1);
  if (!isDepth(kind) || half >= least || 2 * half <= CONSTANT * high) return { low, high };
  return { low: middle - least, high: middle + least };
}

// Every so many-th pixel of a photograph, so that its longer side has at most MAP_SIDE of them.
export function gridOf({ height, width }) {
  const step = Math.ceil(Math.max(height, width) / MAP_SIDE);
  const along = (length) => {
    const rows = [];
    for (let at = Math.min(step - 1, length - 1) >> 1; at < length; at += step) rows.push(at);
    return rows;
  };
  return { rows: along(height), columns: along(width) };
}

// Bytes RGBA of depth at the places of a grid: { height, width, values }. `table` is 256 colours.
export function depthPicture(prediction, { low, high }, table, { rows, columns }) {
  const { depth, valid, sky, width, kind } = prediction, number = drawn(kind), span = high - low;
  const flat = span <= CONSTANT * Math.max(Math.abs(low), Math.abs(high), NEAREST);
  const level = (value) => {
    if (flat) return value < low - span ? 0 : value > high + span ? 255 : 128;
    return clamp(0, Math.trunc(((value - low) * 256) / span), 255);
  };
  const values = new Uint8ClampedArray(4 * rows.length * columns.length).fill(255), first = sky?.some(Boolean) ? 1 : 0;
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      const at = row * width + column, seen = !sky?.[at] && (!valid || valid[at]);
      const colours = seen ? table : sky?.[at] ? SKY : INVALID;
      const from = seen ? 3 * Math.max(first, level(number(depth[at]))) : 0;
      for (let each = 0; each < 3; each++) values[to++] = colours[from + each];
      to++;
    }
  }
  return { height: rows.length, width: columns.length, values };
}

// The same of normals at the places of a grid, given as three numbers a place: a wall seen head-on
// is (128, 128, 255).
export function normalsPicture(normals, { rows, columns }) {
  const values = new Uint8ClampedArray(4 * rows.length * columns.length).fill(255);
  normals.forEach((own, at) => { values[at + Math.floor(at / 3)] = Math.trunc(clamp(0, own * (at % 3 ? -127.5 : 127.5) + 128, 255)); });
  return { height: rows.length, width: columns.length, values };
}

// What stands under the bar of a depth picture, evenly spaced from left to right.
export function ticksOf({ low, high }, kind) {
  if (!isDepth(kind) || !(low > 0)) return ["far", "near"];
  const unit = kind === "metric" ? " m" : "";
  return listOf(TICKS, (each) =>
    `${Number((1 / (low + ((high - low) * each) / (TICKS - 1))).toPrecision(3))}${unit}`);
}
