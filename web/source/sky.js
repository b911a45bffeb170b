// The sky that surfaces leave out: the network's mask up to the edge of depth, or what lies far behind all else.
// rilievo.io.outputs.sky explains it.

import { gridIn, squareMaxima } from "./grid.js";

// Least ratio of distant sky to the 25th percentile of depth; the far ends of rooms reach 4.
const MIN_DISTANT_RATIO = 12;
// Least share of points that is a sky, and not a few points at infinity.
const MIN_DISTANT_SKY = 0.005;

// Longer side of the reduced picture [px] in which a distant sky is sought.
const DECIDING_SIDE = 192;
// Least longer side of the grid [px] on which outlines of a sky are found.
const EDGE_SIDE = 640;
// Share of the longer side by which a network's mask may be too small.
const RIM_SHARE = 1 / 80;
// How many times farther than the nearest surface around it a pixel of the rim is.
const MIN_RATIO_BEHIND = 2;
// Depth relative to the median of the sky from which a pixel belongs to it; hills are nearer.
const MIN_RATIO_TO_SKY = 0.15;
// Pixels over which networks blend a surface into the sky.
const RAMP_PIXELS = 4;
// Least ratio of depths between neighbouring pixels of such a ramp.
const MIN_RAMP_RATIO = 1.08;

/**
 * The network's sky, up to the edges of depth, or a distant sky if it predicts none.
 * @param {any} prediction
 * @returns {Uint8Array | null} A mask; null if there is no sky.
 */
export function surfaceSky(prediction) {
  const { valid } = prediction;
  if (prediction.sky) {
    prediction.surfaceSky ??= skyUpToEdges(prediction);
    return prediction.surfaceSky.includes(1) ? prediction.surfaceSky : null;
  }
  // Networks that mark pixels without depth have left out the sky already.
  return !valid || valid.every(Boolean) ? distantSkyOf(prediction) : null;
}

// The same as distantSky for all pixels of a photograph, as rilievo.io.outputs.sky finds it.
function distantSkyOf({ depth, height, width }) {
  const step = Math.max(1, Math.round(Math.max(height, width) / DECIDING_SIDE));
  const columns = Math.ceil(width / step);
  const coarse = Float32Array.from({ length: Math.ceil(height / step) * columns },
    (_, cell) => depth[step * (Math.floor(cell / columns) * width + (cell % columns))]);
  const limit = distantLimit(coarse, columns);
  return limit ? Uint8Array.from(depth, (z) => (z > limit ? 1 : 0)) : null;
}

/**
 * The sky that a network puts far behind all else, for a network that predicts no mask.
 * @param {Float32Array} z Depth of a lattice, row by row.
 * @param {number} columns
 * @returns {Uint8Array | null} A mask; null if there is no such sky.
 */
export function distantSky(z, columns) {
  const limit = distantLimit(z, columns);
  return limit ? Uint8Array.from(z, (depth) => (depth > limit ? 1 : 0)) : null;
}

// The depth from which a lattice shows distant sky; 0 without such a sky.
function distantLimit(z, columns) {
  const limit = MIN_DISTANT_RATIO * z.slice().sort()[Math.floor(z.length / 4)];
  let far = 0;
  let between = 0;
  for (const depth of z) {
    if (depth > limit) far++;
    else if (depth > limit / 2) between++;
  }
  const reachesTop = z.subarray(0, columns).some((depth) => depth > limit);
  // A scene that goes on into the distance has depth between the sky and the rest.
  if (far < Math.max(MIN_DISTANT_SKY * z.length, between) || !reachesTop) return 0;
  return limit;
}

/**
 * A network's mask of the sky, which is coarser than its depth, extended to the edges of depth.
 *
 * First it grows over pixels that are far behind what stands around them and nearly as far as the sky, then over the
 * steep ramp by which networks blend a surface into the sky.
 * @param {any} prediction Its depth, and its mask of the sky.
 * @returns {Uint8Array}
 */
export function skyUpToEdges(prediction) {
  const { depth, valid, sky, height, width } = prediction;
  const isValid = (pixel) => !valid || valid[pixel];
  const grid = gridIn(prediction, Math.max(1, Math.floor(Math.max(height, width) / EDGE_SIDE)));
  // 0 stands for cells without depth.
  const inverse = Float32Array.from(grid.pixels, (pixel) => (isValid(pixel) ? 1 / depth[pixel] : 0));
  const gridSky = Uint8Array.from(grid.pixels, (pixel) => sky[pixel]);
  const inverseOfSky = inverse.filter((own, cell) => own && gridSky[cell]).sort();
  if (!inverseOfSky.length) return sky;

  const radius = Math.max(1, Math.round(RIM_SHARE * Math.max(grid.rows, grid.columns)));
  const median = inverseOfSky[inverseOfSky.length >> 1];
  const nearestAround = squareMaxima(inverse, grid, radius);
  const isRim = (cell) => inverse[cell] * MIN_RATIO_BEHIND < nearestAround[cell]
    && inverse[cell] * MIN_RATIO_TO_SKY < median;
  const isRamp = (cell) => hasNeighbour(grid, cell, (neighbour) => inverse[neighbour] > inverse[cell] * MIN_RAMP_RATIO);

  const withRim = grow(grid, gridSky, (cell) => inverse[cell] && isRim(cell), radius);
  const grown = grow(grid, withRim, (cell) => inverse[cell] && isRamp(cell), RAMP_PIXELS);
  return sky.map((isSky, pixel) => {
    const cell = grid.cellOf(pixel);
    return isSky || (grown[cell] && !gridSky[cell] && isValid(pixel)) ? 1 : 0;
  });
}

// A mask that grows by a cell in each round, over allowed cells alone.
function grow(grid, mask, isAllowed, rounds) {
  let grown = mask;
  for (let round = 0; round < rounds; round++) {
    const before = grown;
    const isReached = (cell) => hasNeighbour(grid, cell, (neighbour) => before[neighbour]);
    grown = before.map((isSet, cell) => (isSet || (isReached(cell) && isAllowed(cell)) ? 1 : 0));
  }
  return grown;
}

const hasNeighbour = (grid, cell, test) => grid.neighboursOf.some((ends) => ends(cell).some(test));
