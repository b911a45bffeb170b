// Scale and shift of affine depth, fitted to depth up to scale of another network:
// rilievo.alignment.anchor, which says why each step is as it is.

import { listOf, quantile } from "relief";

const LEAST_CORRELATION = 0.7, LEAST_OF_KNOWN = 0.3, ROWS = 48, COLUMNS = 64, LEAST_PLACES = 32;
const GRID = 121, DECADES = 3, STEPS = 60, LOW = 0.05, FLOOR = 1e-3, CONTRAST = 0.85, FARTHEST = 1000;
const GOLDEN = (Math.sqrt(5) - 1) / 2, NEVER_ZERO = 1e-12;

// Values of a map at the pixels nearest to the centres of the grid's cells; NaN where it has none.
export function onGrid({ depth, valid, height, width }) {
  const place = (at, count, length) => Math.floor(((2 * at + 1) * length) / (2 * count));
  return listOf(ROWS * COLUMNS, (cell) => {
    const at = place(Math.floor(cell / COLUMNS), ROWS, height) * width + place(cell % COLUMNS, COLUMNS, width);
    return valid && !valid[at] ? NaN : depth[at];
  });
}

// Mean absolute deviation from the median.
function spread(values) {
  const middle = quantile(values, 0.5);
  return values.reduce((sum, each) => sum + Math.abs(each - middle), 0) / values.length;
}

// The rank of each value; equal ones share their mean.
function ranks(values) {
  const order = Uint32Array.from(values, (_, at) => at).sort((one, other) => values[one] - values[other]);
  const found = new Float64Array(values.length);
  for (let first = 0; first < order.length;) {
    let end = first;
    while (end < order.length && values[order[end]] === values[order[first]]) end++;
    for (let at = first; at < end; at++) found[order[at]] = (first + end - 1) / 2;
    first = end;
  }
  return found;
}

// Spearman's correlation; a constant has 0.
function rankCorrelation(one, other) {
  const centred = (values) => { const mean = (values.length - 1) / 2; return ranks(values).map((each) => each - mean); };
  const [a, b] = [centred(one), centred(other)], sum = (x, y) => x.reduce((all, each, at) => all + each * y[at], 0);
  const size = Math.sqrt(sum(a, a) * sum(b, b));
  return size ? sum(a, b) / size : 0;
}

// The place of a function's minimum between two numbers.
function least(cost, low, high) {
  for (let step = 0; step < STEPS; step++) {
    const a = high - GOLDEN * (high - low), b = low + GOLDEN * (high - low);
    if (cost(a) <= cost(b)) high = b;
    else low = a;
  }
  return (low + high) / 2;
}

// The fit of values on a grid to those of a reference, with NaN where there are none:
// { space, scale, shift, residual, rank_correlation }. Throws an Error where nothing can be fitted.
export function anchorValues(values, reference, isInverse) {
  const places = [...values.keys()].filter((at) => Number.isFinite(values[at]) && Number.isFinite(reference[at]));
  if (places.length < LEAST_PLACES) throw new Error(`the two answers have depth at ${places.length} common places, too few to fit one to the other`);
  const x = Float64Array.from(places, (at) => values[at]), known = Float64Array.from(places, (at) => reference[at]);
  const low = quantile(x, LOW), span = quantile(x, 1 - LOW) - low;
  if (!(span > 0) || known.every((each) => each === known[0])) throw new Error("an answer is constant, so nothing can be fitted to it");
  const sign = isInverse ? -1 : 1, logs = known.map(Math.log);
  const depthLogs = (offset) => x.map((each) => sign * Math.log(Math.max(each - low + Math.exp(offset), FLOOR * span)));
  const cost = (offset) => {
    const y = depthLogs(offset);
    return Math.log(spread(y.map((each, at) => each - logs[at])) + NEVER_ZERO) - CONTRAST * Math.log(spread(y) + NEVER_ZERO);
  };
  const grid = listOf(GRID, (each) => Math.log(span) + Math.LN10 * DECADES * ((2 * each) / (GRID - 1) - 1));
  const costs = grid.map(cost), best = costs.indexOf(Math.min(...costs));
  const found = least(cost, grid[Math.max(best - 1, 0)], grid[Math.min(best + 1, GRID - 1)]);
  const y = depthLogs(found), apart = logs.map((each, at) => each - y[at]), middle = quantile(apart, 0.5), scale = Math.exp(sign * middle);
  return {
    space: isInverse ? "inverse" : "depth", scale, shift: scale * (Math.exp(found) - low),
    residual: quantile(apart.map((each) => Math.abs(each - middle)), 0.5),
    rank_correlation: rankCorrelation(x.map((each) => sign * each), known),
  };
}

const four = (number) => Math.round(number * 1e4) / 1e4;

// Affine depth as depth up to scale, by the answer of another network on the grid: { anchoring,
// depth, valid }, without depth where the two disagree, which `anchoring.refused` explains.
export function anchored(own, { model, values }) {
  let fit;
  try {
    fit = anchorValues(onGrid(own), values, own.kind === "affine_inverse");
  } catch (error) {
    return { anchoring: { model, refused: error.message } };
  }
  const { space, scale, shift } = fit, how = { model, rank_correlation: four(fit.rank_correlation), residual: four(fit.residual) };
  const words = (limit) => `it and ${model} disagree about this picture (the order of their depths correlates by `
    + `${fit.rank_correlation.toFixed(2)}, less than ${limit})`;
  const limit = own.isKnown ? LEAST_OF_KNOWN : LEAST_CORRELATION;
  if (fit.rank_correlation < limit) return { anchoring: { ...how, refused: words(limit) } };
  const remark = fit.rank_correlation < LEAST_CORRELATION
    ? { remark: `${words(LEAST_CORRELATION)}; its surface and sizes are less certain` } : {};
  const depth = own.depth.map((each) => (space === "inverse" ? 1 / (scale * each + shift) : scale * each + shift));
  const valid = Uint8Array.from(depth, (each, at) => (Number.isFinite(each) && each > 0 && (!own.valid || own.valid[at]) ? 1 : 0));
  let nearest = Infinity;
  depth.forEach((each, at) => { if (valid[at] && each < nearest) nearest = each; });
  depth.forEach((each, at) => {
    if (valid[at] && each <= FARTHEST * nearest) return;
    [depth[at], valid[at]] = [0, 0];
  });
  if (nearest === Infinity) return { anchoring: { ...how, refused: "no pixel has a positive depth" } };
  return { anchoring: { ...how, space, scale, shift, ...remark }, depth, valid: valid.every(Boolean) ? null : valid };
}

// Terms of measuring by an anchoring: ranges are wider where it fits worse (rilievo.measure.page_terms).
export function widened(terms, { misfit, disorder, least_residual: least }, { residual, rank_correlation: order }) {
  const more = misfit * Math.log(Math.max(residual, least)) + disorder * (1 - order);
  const wider = (some) => ({ ...some, own: some.own + more, known_length: some.known_length + more });
  return { ...wider(terms), distance: wider(terms.distance) };
}
