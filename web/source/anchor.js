// Anchored depth: affine depth brought to depth up to scale by the depth of a second network, as
// rilievo.alignment.anchor does it, which says why each step is as it is.

import { listOf, quantile } from "relief";

/**
 * The fit of an affine map to reference depth: with space "depth", scale * value + shift is depth up to
 * scale; with space "inverse" it is the inverse depth. The residual is the median absolute difference of
 * log depth.
 * @typedef {{space: string, scale: number, shift: number, residual: number, rank_correlation: number}} Anchor
 */

// Rank correlation below which the fit of a network that rilievo does not list is refused.
const LEAST_CORRELATION = 0.7;
// Rank correlation below which the fit of a listed network is refused; flat views have little.
const LEAST_LISTED_CORRELATION = 0.3;

// Size of the grid of pixels at which both maps are compared.
const GRID_ROWS = 48;
const GRID_COLUMNS = 64;
// Least number of these pixels at which both maps have depth.
const LEAST_PIXELS = 32;

// Number of ratios shift / scale that are tried, and their decades around the range of values.
const OFFSETS = 121;
const DECADES = 3;
// Steps of the golden section, after which the interval is as narrow as numbers allow.
const GOLDEN_STEPS = 60;
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
// Share of values below the range: sky or outliers.
const LOW_QUANTILE = 0.05;
// Least shifted value, as a share of the range; the logarithm needs a positive number.
const LEAST_SHARE_OF_RANGE = 1e-3;
// Power of the contrast that divides the error; 0 prefers low contrast, 1 high contrast.
const CONTRAST_POWER = 0.85;
// Added before logarithms of the error and of the contrast, which may be 0.
const TINY = 1e-12;
// Largest anchored depth over the smallest; what is beyond counts as sky.
const MAX_DEPTH_RATIO = 1000;

/**
 * Depth at the pixels nearest to the centres of a grid's cells; NaN where the map has none.
 * @returns {number[]}
 */
export function sampleOnGrid({ depth, valid, height, width }) {
  const centre = (cell, cells, length) => Math.floor(((2 * cell + 1) * length) / (2 * cells));
  return listOf(GRID_ROWS * GRID_COLUMNS, (cell) => {
    const row = centre(Math.floor(cell / GRID_COLUMNS), GRID_ROWS, height);
    const column = centre(cell % GRID_COLUMNS, GRID_COLUMNS, width);
    const pixel = row * width + column;
    return valid && !valid[pixel] ? NaN : depth[pixel];
  });
}

/**
 * Affine depth as depth up to scale, by the depth of a second network on the grid of `sampleOnGrid`.
 *
 * `anchoring` records the fit for the facts of a result. Where the two networks disagree, the result has
 * no depth, and `anchoring.refused` says why. `valid` is null if all pixels are valid.
 * @param {any} prediction Depth whose kind is affine or affine_inverse.
 * @param {{model: string, values: number[]}} reference Name of the second network, and its depth.
 * @returns {{anchoring: any, depth?: Float32Array, valid?: Uint8Array | null}}
 */
export function anchorPrediction(prediction, reference) {
  const { model } = reference;
  let anchor;
  try {
    anchor = anchorValues(sampleOnGrid(prediction), reference.values, prediction.kind === "affine_inverse");
  } catch (error) {
    return { anchoring: { model, refused: error.message } };
  }

  const correlation = anchor.rank_correlation;
  const quality = { model, rank_correlation: round4(correlation), residual: round4(anchor.residual) };
  const least = prediction.isListed ? LEAST_LISTED_CORRELATION : LEAST_CORRELATION;
  if (correlation < least) {
    return { anchoring: { ...quality, refused: disagreement(model, correlation, least) } };
  }

  const anchored = anchoredDepth(prediction, anchor);
  if (!anchored) return { anchoring: { ...quality, refused: "no pixel has a positive depth" } };
  /** @type {any} */
  const anchoring = { ...quality, space: anchor.space, scale: anchor.scale, shift: anchor.shift };
  if (correlation < LEAST_CORRELATION) {
    const reason = disagreement(model, correlation, LEAST_CORRELATION);
    anchoring.remark = `${reason}, so its surface and sizes are less certain`;
  }
  return { anchoring, ...anchored };
}

function disagreement(model, correlation, least) {
  return `the model and ${model} disagree about this picture (the rank correlation of their depths is `
    + `${correlation.toFixed(2)}, below ${least})`;
}

const round4 = (number) => Math.round(number * 1e4) / 1e4;

// Depth up to scale by a fit; null if none is positive. Depth that is not positive or too far is invalid,
// as sky is.
function anchoredDepth(prediction, { space, scale, shift }) {
  const fromValue = space === "inverse"
    ? (value) => 1 / (scale * value + shift)
    : (value) => scale * value + shift;
  const depth = prediction.depth.map(fromValue);

  const isPositive = (z, pixel) => Number.isFinite(z) && z > 0 && (!prediction.valid || prediction.valid[pixel]);
  const valid = Uint8Array.from(depth, (z, pixel) => (isPositive(z, pixel) ? 1 : 0));
  let nearest = Infinity;
  depth.forEach((z, pixel) => {
    if (valid[pixel] && z < nearest) nearest = z;
  });
  if (nearest === Infinity) return null;

  depth.forEach((z, pixel) => {
    if (valid[pixel] && z <= MAX_DEPTH_RATIO * nearest) return;
    depth[pixel] = 0;
    valid[pixel] = 0;
  });
  return { depth, valid: valid.every(Boolean) ? null : valid };
}

/**
 * Fit affine values to positive reference depth at the same pixels; NaN where a map has none.
 *
 * Only the ratio shift / scale is searched, because the best scale for a given ratio is a median. Throws
 * an Error if too few pixels have depth in both maps, or if one map is constant.
 * @param {ArrayLike<number>} values Affine depth, or affine inverse depth if `isInverse`.
 * @param {ArrayLike<number>} reference
 * @param {boolean} isInverse
 * @returns {Anchor}
 */
export function anchorValues(values, reference, isInverse) {
  const isCommon = (pixel) => Number.isFinite(values[pixel]) && Number.isFinite(reference[pixel]);
  const pixels = listOf(values.length, (pixel) => pixel).filter(isCommon);
  if (pixels.length < LEAST_PIXELS) {
    throw new Error(`both predictions have depth at only ${pixels.length} of ${values.length} sampled pixels, which is too few to fit one to the other`);
  }
  const x = Float64Array.from(pixels, (pixel) => values[pixel]);
  const referenceDepth = Float64Array.from(pixels, (pixel) => reference[pixel]);
  const low = quantile(x, LOW_QUANTILE);
  const span = quantile(x, 1 - LOW_QUANTILE) - low;
  if (!(span > 0) || referenceDepth.every((z) => z === referenceDepth[0])) {
    throw new Error("one of the two predictions is constant, which does not determine a scale and a shift");
  }

  const sign = isInverse ? -1 : 1;
  const referenceLogs = referenceDepth.map(Math.log);
  // Log depth up to scale, if the lowest value is exp(logOffset) above zero.
  const depthLogs = (logOffset) =>
    x.map((value) => sign * Math.log(Math.max(value - low + Math.exp(logOffset), LEAST_SHARE_OF_RANGE * span)));
  const cost = (logOffset) => {
    const logs = depthLogs(logOffset);
    const error = meanDeviationFromMedian(logs.map((log, index) => log - referenceLogs[index]));
    const contrast = meanDeviationFromMedian(logs);
    return Math.log(error + TINY) - CONTRAST_POWER * Math.log(contrast + TINY);
  };

  const logOffset = minimize(cost, Math.log(span));
  const logs = depthLogs(logOffset);
  const logRatios = referenceLogs.map((log, index) => log - logs[index]);
  const logScale = quantile(logRatios, 0.5);
  const scale = Math.exp(sign * logScale);
  return {
    space: isInverse ? "inverse" : "depth",
    scale,
    shift: scale * (Math.exp(logOffset) - low),
    residual: quantile(logRatios.map((ratio) => Math.abs(ratio - logScale)), 0.5),
    rank_correlation: rankCorrelation(x.map((value) => sign * value), referenceDepth),
  };
}

// The argument of least cost: the best on a grid around `logSpan`, then a golden section.
function minimize(cost, logSpan) {
  const grid = listOf(OFFSETS, (index) => logSpan + Math.LN10 * DECADES * ((2 * index) / (OFFSETS - 1) - 1));
  const costs = grid.map(cost);
  const best = costs.indexOf(Math.min(...costs));
  return goldenArgmin(cost, grid[Math.max(best - 1, 0)], grid[Math.min(best + 1, OFFSETS - 1)]);
}

function goldenArgmin(cost, low, high) {
  for (let step = 0; step < GOLDEN_STEPS; step++) {
    const lower = high - GOLDEN_RATIO * (high - low);
    const upper = low + GOLDEN_RATIO * (high - low);
    if (cost(lower) <= cost(upper)) high = upper;
    else low = lower;
  }
  return (low + high) / 2;
}

function meanDeviationFromMedian(values) {
  const median = quantile(values, 0.5);
  return values.reduce((sum, value) => sum + Math.abs(value - median), 0) / values.length;
}

// Spearman's rank correlation, -1 to 1; a constant has 0.
function rankCorrelation(x, y) {
  const meanRank = (x.length - 1) / 2;
  const xRanks = ranks(x).map((rank) => rank - meanRank);
  const yRanks = ranks(y).map((rank) => rank - meanRank);
  const product = (a, b) => a.reduce((sum, rank, index) => sum + rank * b[index], 0);
  const norm = Math.sqrt(product(xRanks, xRanks) * product(yRanks, yRanks));
  return norm ? product(xRanks, yRanks) / norm : 0;
}

// The rank of each value from 0; equal values get the mean of their ranks.
function ranks(values) {
  const order = Uint32Array.from(values, (_, index) => index).sort((a, b) => values[a] - values[b]);
  const result = new Float64Array(values.length);
  let start = 0;
  while (start < order.length) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let rank = start; rank < end; rank++) result[order[rank]] = (start + end - 1) / 2;
    start = end;
  }
  return result;
}
