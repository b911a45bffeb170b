// Where the backdrop for a sky is: rilievo.io.outputs.sky_backdrop, which explains it, and pack_relief in
// rilievo.pages.relief. The mesh is made in surface_view/backdrop.js.

import { isInside, quantile } from "relief";
import { surfaceSky } from "./sky.js";
import { sampleRange } from "./surface.js";

// Cells along the longer side of the backdrop.
const SKY_CELLS = 48;
// Pixels at the border of the sky in which photographs blend it with what stands before it.
const BLENDED_PIXELS = 3;
// How far the backdrop continues below the sky, as a share of the height.
const SKY_BELOW = 1 / 12;
// Depth of the sky relative to the 98th percentile of the other depths.
const SKY_DISTANCE = 2;
// Of more depths, the percentile is that of every so many-th.
const MAX_SORTED = 1e6;

/**
 * Find the backdrop of a prediction.
 * @param {any} prediction
 * @returns {{form: any, flags: Uint8Array} | null} The sky and its flags, as backdropOf takes them; null without a sky,
 *   and in a panorama, whose sky is part of the surface.
 */
export function skyPlane(prediction) {
  const { camera, depth, height, transparent, valid, width } = prediction;
  const sky = isInside(camera) ? null : surfaceSky(prediction);
  if (!sky) return null;
  const stride = Math.ceil(depth.length / MAX_SORTED), surfaceDepths = [];
  for (let pixel = 0; pixel < depth.length; pixel += stride) {
    if ((!valid || valid[pixel]) && !sky[pixel]) surfaceDepths.push(depth[pixel]);
  }
  if (!surfaceDepths.length) return null;

  const step = Math.ceil(Math.max(height, width) / SKY_CELLS), reach = Math.max(step, BLENDED_PIXELS);
  const endRow = Math.floor(sky.lastIndexOf(1) / width) + roundToEven(SKY_BELOW * height);
  const rows = sampleRange(height, step), columns = sampleRange(width, step);
  const flags = Uint8Array.from({ length: rows.count * columns.count }, (_, at) => {
    const row = rows.first + step * Math.floor(at / columns.count), column = columns.first + step * (at % columns.count);
    if (row >= endRow || transparent?.[row * width + column]) return 0;
    return isSkyAround(sky, prediction, row, column, reach) ? 2 : 1;
  });
  const middle = middlePixel(sky);
  const form = { rows: rows.count, columns: columns.count, first_row: rows.first, first_column: columns.first, step,
    depth: Math.fround(SKY_DISTANCE * quantile(surfaceDepths, 0.98)), reach,
    middle: [middle % width, Math.floor(middle / width)] };
  return { form, flags };
}

// Whether all pixels are sky in the square that extends `reach` pixels to each side of one.
function isSkyAround(sky, { height, width }, row, column, reach) {
  const left = Math.max(0, column - reach), right = Math.min(width, column + reach + 1);
  for (let y = Math.max(0, row - reach); y < Math.min(height, row + reach + 1); y++) {
    for (let x = left; x < right; x++) if (!sky[y * width + x]) return false;
  }
  return true;
}

// Of all pixels of a mask, the one in the middle of their order.
function middlePixel(mask) {
  let count = 0;
  for (const each of mask) count += each;
  let pixel = mask.indexOf(1);
  for (let left = count >> 1; left > 0; left--) pixel = mask.indexOf(1, pixel + 1);
  return pixel;
}

// The nearest integer, of two that are as near the even one, as Python rounds.
function roundToEven(number) {
  const rounded = Math.round(number);
  return rounded - number === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
