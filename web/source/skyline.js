// How pictures of depth draw the skyline: objects before the sky, and the ground up to it.
// rilievo.io.outputs.skyline explains it.
//
// Nearness is the number that pictures draw: 1/z of depth, -z of affine depth, z of affine inverse depth. The function
// `nearnessOf` gives it, and gives back depth from nearness, because all three are their own inverse.

import { gridIn, squareMaxima } from "./grid.js";

// Least longer side of the grid [px] on which outlines of a sky are found.
const EDGE_SIDE = 640;
// Largest half of the width of an object before the sky that pictures keep, as a share of the longer side.
const MAX_HALF_WIDTH = 1 / 32;
// Side of the smallest object, as a square, as a share of the longer side.
const MIN_OBJECT_SIDE = 1 / 48;
// By how much an object is nearer than the sky around it, everywhere and at its nearest: a share of the sky's inverse
// depth, or of the difference between ground and sky of values without a zero.
const MIN_NEARER = Math.fround(0.06);
const MIN_CLEARLY_NEARER = Math.fround(0.12);

// Width of the band over which networks blend ground and sky, as a share of the diagonal.
const BAND_SHARE = 0.016;
// Longest side of the grid [px] on which the ground is continued.
const MAX_BAND_SIDE = 320;
// Pixels of that grid by which the ground is continued into the sky, so that no gap is left.
const ROUNDS_BEYOND_BAND = 2;

/**
 * The sky that pictures colour: the network's mask, without the objects before it.
 *
 * The mask is coarser than depth, so masts and the rims of towers lie in it. Depth shows them as narrow and nearer than
 * the sky on both sides.
 * @param {any} prediction
 * @param {(value: number) => number} nearnessOf
 * @param {boolean} isDepth Whether its kind is depth, so that 0 has a meaning.
 * @returns {Uint8Array | null} Null if the network predicts no sky.
 */
export function skyBehindObjects(prediction, nearnessOf, isDepth) {
  const { depth, valid, sky, height, width } = prediction;
  if (!sky) return sky;
  const isValid = (pixel) => !valid || valid[pixel];
  const grid = gridIn(prediction, Math.max(1, Math.floor(Math.max(height, width) / EDGE_SIDE)));
  const { pixels, cellOf } = grid;
  const isSkyCell = (cell) => sky[pixels[cell]] && isValid(pixels[cell]);
  if (!pixels.some((_, cell) => isSkyCell(cell))) return sky;

  const longer = Math.max(grid.rows, grid.columns);
  const nearness = Float32Array.from(pixels, (pixel) => nearnessOf(depth[pixel]));
  const validNearness = nearness.map((own, cell) => (isValid(pixels[cell]) ? own : -Infinity));
  const skyNearness = levelNarrowPeaks(validNearness, grid, Math.max(1, Math.floor(MAX_HALF_WIDTH * longer)));
  const contrast = isDepth ? null : contrastToSky(nearness, pixels, prediction);
  const leastExcess = (cell, share) => Math.fround(share * (contrast ?? skyNearness[cell]));
  const isNearer = (cell, share) =>
    isSkyCell(cell) && Math.fround(nearness[cell] - skyNearness[cell]) > leastExcess(cell, share);

  const nearerCells = nearness.map((_, cell) => (isNearer(cell, MIN_NEARER) ? 1 : 0));
  const isSeed = (cell) => isNearer(cell, MIN_CLEARLY_NEARER);
  const objects = patchesWithSeed(nearerCells, isSeed, grid, MIN_OBJECT_SIDE * longer);
  const touchesObject = (cell) => neighboursOf(grid, cell).some((neighbour) => objects[neighbour]);
  const mayBeObject = objects.map((isObject, cell) => (isObject || touchesObject(cell) ? 1 : 0));
  // Every pixel decides for itself, so that outlines are as fine as depth.
  return sky.map((isSky, pixel) => {
    const cell = cellOf(pixel);
    if (!isSky || !mayBeObject[cell] || !isValid(pixel)) return isSky;
    const limit = Math.fround(skyNearness[cell] + leastExcess(cell, MIN_NEARER));
    return Math.fround(nearnessOf(depth[pixel])) > limit ? 0 : isSky;
  });
}

const neighboursOf = (grid, cell) => grid.neighboursOf.flatMap((ends) => ends(cell));

// Levels what is greater than both sides and narrower than twice the radius (an opening). What rises up to the border
// of the image may go on beyond it, so it stays. -Infinity stands for no value.
function levelNarrowPeaks(field, { rows, columns }, radius) {
  const padded = { rows: rows + 2 * radius, columns: columns + 2 * radius };
  const paddedCell = (cell) => (Math.floor(cell / columns) + radius) * padded.columns + (cell % columns) + radius;
  const negative = new Float32Array(padded.rows * padded.columns).fill(-Infinity);
  field.forEach((own, cell) => {
    if (own > -Infinity) negative[paddedCell(cell)] = -own;
  });

  const minima = squareMaxima(negative, padded, radius, -Infinity).map((own) => (own > -Infinity ? -own : own));
  const level = squareMaxima(minima, padded, radius, -Infinity);
  return field.map((_, cell) => level[paddedCell(cell)]);
}

// The difference between the medians of ground and sky; infinite without ground before it.
function contrastToSky(nearness, pixels, { valid, sky }) {
  const medianWhere = (isSky) => {
    const isChosen = (pixel) => Boolean(sky[pixel]) === isSky && (!valid || valid[pixel]);
    return floatMedian(nearness.filter((_, cell) => isChosen(pixels[cell])));
  };
  const contrast = Math.fround(medianWhere(false) - medianWhere(true));
  return contrast > 0 ? contrast : Infinity;
}

// The median in single precision; it sorts the values.
function floatMedian(values) {
  values.sort();
  const half = values.length >> 1;
  return values.length % 2 ? values[half] : Math.fround((values[half - 1] + values[half]) / 2);
}

// Connected patches of a mask, at least as large as a square of this side, that contain a seed.
function patchesWithSeed(mask, isSeed, grid, minSide) {
  const visited = new Uint8Array(mask.length);
  const result = new Uint8Array(mask.length);
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || visited[start]) continue;
    const patch = [start];
    visited[start] = 1;
    // The patch grows while it is walked through.
    for (let index = 0; index < patch.length; index++) {
      for (const neighbour of neighboursOf(grid, patch[index])) {
        if (!mask[neighbour] || visited[neighbour]) continue;
        visited[neighbour] = 1;
        patch.push(neighbour);
      }
    }
    if (patch.length >= minSide ** 2 && patch.some(isSeed)) for (const cell of patch) result[cell] = 1;
  }
  return result;
}

/**
 * A prediction whose ground continues up to the sky, where that is nearer than its depth. Networks blend the two over a
 * band beside the sky.
 * @param {any} prediction
 * @param {(value: number) => number} nearnessOf
 */
export function extendGroundToSky(prediction, nearnessOf) {
  const { depth, valid, sky, height, width } = prediction;
  if (!sky?.some(Boolean)) return prediction;
  const isGround = (pixel) => !sky[pixel] && (!valid || valid[pixel]);
  const grid = gridIn(prediction, Math.ceil(Math.max(height, width) / MAX_BAND_SIDE));
  const { rows, columns, pixels, cellOf } = grid;

  const band = Math.max(1, Math.round(BAND_SHARE * Math.hypot(rows, columns)));
  const gridSky = Uint8Array.from(pixels, (pixel) => (sky[pixel] ? 1 : 0));
  const isNearSky = squareMaxima(gridSky, grid, band);
  const isInside = Uint8Array.from(pixels, (pixel, cell) => (isGround(pixel) && !isNearSky[cell] ? 1 : 0));
  const insideNearness = Float32Array.from(pixels, (pixel, cell) => (isInside[cell] ? nearnessOf(depth[pixel]) : NaN));
  const continued = spreadNeighbourMeans(insideNearness, columns, band, (cell) => isGround(pixels[cell]));

  // Comparisons with NaN are false.
  const extended = depth.map((own, pixel) => {
    const cell = cellOf(pixel);
    const isNearer = !isInside[cell] && isGround(pixel) && continued[cell] > nearnessOf(own);
    return isNearer ? nearnessOf(continued[cell]) : own;
  });
  return { ...prediction, depth: extended };
}

// Fills unknown cells (NaN) around known ones with the means of their known neighbours. Each round fills one more cell:
// first over the ground of the band, then a little beyond it.
function spreadNeighbourMeans(field, columns, band, isGround) {
  let values = field;
  for (let round = 0; round < band + ROUNDS_BEYOND_BAND; round++) {
    const before = values;
    values = before.map((own, cell) => {
      if (!Number.isNaN(own) || (round < band && !isGround(cell))) return own;
      return meanOfNeighbours(before, cell, columns);
    });
  }
  return values;
}

function meanOfNeighbours(values, cell, columns) {
  const column = cell % columns;
  let sum = 0;
  let count = 0;
  for (let down = -columns; down <= columns; down += columns) {
    for (let across = column ? -1 : 0; across <= (column < columns - 1 ? 1 : 0); across++) {
      const value = values[cell + down + across];
      // False for NaN, and for cells outside of the grid.
      if (!(value > -Infinity)) continue;
      sum += value;
      count++;
    }
  }
  return count ? sum / count : NaN;
}
