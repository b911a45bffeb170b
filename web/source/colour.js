// Depth and normals as pictures for people: rilievo.io.map_pictures and rilievo.pages.pictures.

import { clamp, listOf, quantile } from "relief";
import { isDepth } from "./preparation.js";

// About so many pixels decide the range of the colours.
const RANGE_PIXELS = 1 << 16;
// Quantiles of the drawn numbers that get the first and the last colour.
const LOW_QUANTILE = 0.02;
const HIGH_QUANTILE = 0.98;
// Share of the rows whose depth sets the near end; those below show the ground at the photographer's feet.
const UPPER_ROWS = 0.9;
// Share of the range of all rows that is kept without the lowest rows.
const MIN_UPPER_RANGE = 0.6;
// Least depth of which the inverse is drawn.
const NEAREST = 1e-30;
// Range, relative to the numbers, up to which depth is constant.
const CONSTANT_RANGE = 1e-6;
// Least ratio of the depths at both ends of the colours.
const MIN_DEPTH_RATIO = 1.5;
// Longer side of the pictures [px].
const PICTURE_SIDE = 1024;
// Ticks below the bar of colours.
const TICKS = 5;
const INVALID_COLOUR = [128, 128, 128];
const SKY_COLOUR = [206, 214, 224];

/**
 * The function that gives the number that pictures draw for a value: 1/z of depth, and what is likewise larger for near
 * pixels of affine numbers. Near has the last colour.
 * @param {string} kind
 * @returns {(value: number) => number}
 */
export function pictureQuantity(kind) {
  if (isDepth(kind)) return (z) => 1 / Math.max(z, NEAREST);
  return kind === "affine_inverse" ? (value) => value : (value) => -value;
}

/**
 * The drawn numbers that get the first and the last colour. Sky does not count.
 * @param {any} prediction
 * @returns {{low: number, high: number}}
 */
export function colourRange(prediction) {
  const { upper, all } = sampleQuantities(prediction);
  if (!all.length) return { low: 0, high: 1 };
  const low = quantile(all, LOW_QUANTILE);
  const most = quantile(all, HIGH_QUANTILE);
  const upperHigh = upper.length ? quantile(upper, HIGH_QUANTILE) : Infinity;
  const high = Math.min(most, Math.max(upperHigh, low + MIN_UPPER_RANGE * (most - low)));

  // The range is widened around its middle if the ends are nearly as far as each other.
  const middle = (low + high) / 2;
  const half = (high - low) / 2;
  const minHalf = (middle * (MIN_DEPTH_RATIO - 1)) / (MIN_DEPTH_RATIO + 1);
  const isConstant = 2 * half <= CONSTANT_RANGE * high;
  if (!isDepth(prediction.kind) || half >= minHalf || isConstant) return { low, high };
  return { low: middle - minHalf, high: middle + minHalf };
}

// Drawn numbers of every so many-th pixel, and of those in the upper rows.
function sampleQuantities({ depth, valid, sky, height, width, kind }) {
  const step = Math.max(1, Math.ceil(Math.sqrt((height * width) / RANGE_PIXELS)));
  const quantityOf = pictureQuantity(kind);
  const first = step >> 1;
  const upperRows = Math.ceil(UPPER_ROWS * Math.ceil((height - first) / step));
  const all = [];
  let upperCount = 0;
  for (let row = first; row < height; row += step) {
    for (let column = first; column < width; column += step) {
      const pixel = row * width + column;
      if ((!valid || valid[pixel]) && !sky?.[pixel]) all.push(quantityOf(depth[pixel]));
    }
    if (row < upperRows * step) upperCount = all.length;
  }
  return { upper: all.slice(0, upperCount), all };
}

/**
 * The rows and columns of a picture of a photograph, whose longer side has at most PICTURE_SIDE pixels.
 * @param {{height: number, width: number}} photo
 * @returns {{rows: number[], columns: number[]}}
 */
export function gridOf({ height, width }) {
  const step = Math.ceil(Math.max(height, width) / PICTURE_SIDE);
  const along = (length) => {
    const first = Math.min(step - 1, length - 1) >> 1;
    return listOf(Math.ceil((length - first) / step), (index) => first + index * step);
  };
  return { rows: along(height), columns: along(width) };
}

/**
 * A picture of depth in RGBA bytes.
 * @param {any} prediction
 * @param {{low: number, high: number}} range
 * @param {Uint8Array} colourTable 256 colours.
 * @param {{rows: number[], columns: number[]}} grid
 */
export function depthPicture(prediction, range, colourTable, { rows, columns }) {
  const { depth, valid, sky, width, kind } = prediction;
  const quantityOf = pictureQuantity(kind);
  const levelOf = colourLevels(range);
  // The first colour is left to the sky, if there is one.
  const firstLevel = sky?.some(Boolean) ? 1 : 0;
  const colourOf = (pixel) => {
    if (sky?.[pixel]) return SKY_COLOUR;
    if (valid && !valid[pixel]) return INVALID_COLOUR;
    const entry = 3 * Math.max(firstLevel, levelOf(quantityOf(depth[pixel])));
    return [colourTable[entry], colourTable[entry + 1], colourTable[entry + 2]];
  };

  const values = new Uint8ClampedArray(4 * rows.length * columns.length).fill(255);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      values.set(colourOf(row * width + column), to);
      to += 4;
    }
  }
  return { height: rows.length, width: columns.length, values };
}

// The function from a drawn number to its colour's place in the table.
function colourLevels({ low, high }) {
  const span = high - low;
  const isConstant = span <= CONSTANT_RANGE * Math.max(Math.abs(low), Math.abs(high), NEAREST);
  if (!isConstant) return (number) => clamp(0, Math.trunc(((number - low) * 256) / span), 255);
  return (number) => {
    if (number < low - span) return 0;
    return number > high + span ? 255 : 128;
  };
}

/**
 * A picture of normals in RGBA bytes: a wall seen head-on is (128, 128, 255).
 * @param {Float32Array} normals Three numbers for each pixel of the grid.
 * @param {{rows: number[], columns: number[]}} grid
 */
export function normalsPicture(normals, { rows, columns }) {
  const values = new Uint8ClampedArray(4 * rows.length * columns.length).fill(255);
  normals.forEach((component, index) => {
    // In pictures y points up and z towards the viewer.
    const sign = index % 3 ? -1 : 1;
    const level = Math.trunc(clamp(0, sign * component * 127.5 + 128, 255));
    values[index + Math.floor(index / 3)] = level;
  });
  return { height: rows.length, width: columns.length, values };
}

/**
 * What stands below the bar of colours, evenly spaced from far to near: depths, or the words alone.
 * @param {{low: number, high: number}} range
 * @param {string} kind
 * @returns {string[]}
 */
export function ticksOf({ low, high }, kind) {
  if (!isDepth(kind) || !(low > 0)) return ["far", "near"];
  const unit = kind === "metric" ? " m" : "";
  return listOf(TICKS, (index) => {
    const inverse = low + ((high - low) * index) / (TICKS - 1);
    return `${Number((1 / inverse).toPrecision(3))}${unit}`;
  });
}
