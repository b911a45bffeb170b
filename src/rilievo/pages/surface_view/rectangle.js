"use strict";
// Depth at the middle of a known rectangle, as if nothing stood on it: what is seen inside is fitted to its plane, as
// rilievo.calibration.rectangle_depth does it.

const rectangleReading = (() => {
  const CORNER_ERROR = 1, MARGIN = 3, MOST_MARGIN = 0.15; // px, errors of a corner, share of the shortest side
  const RIM_POWER = 4, ROUNDS = 15, LEAST_MISFIT = 1e-4;
  const LEAST_PART = 0.4, TRIALS = 40, MUCH_LESS = 0.5, TRIM_ROUNDS = 5, TRIM = 3 / 0.5244;
  const MOST_PIXELS = 400, FEWEST_PIXELS = 30; // fewer than in Python, because points are dragged

  // The value that a share of the weight stays below.
  function weightedQuantile(values, weight, share) {
    const order = [...values.keys()].sort((one, other) => values[one] - values[other]);
    let left = share * weight.reduce((sum, each) => sum + each, 0);
    return values[order.find((at) => (left -= weight[at]) <= 0) ?? order.at(-1)];
  }

  // Factors of three columns with the least sum of weighted squares.
  function leastColumns(columns, target, weight) {
    const rows = [[0, 0, 0], [0, 0, 0], [0, 0, 0]], sums = [0, 0, 0];
    columns.forEach((column, at) => column.forEach((value, axis) => {
      sums[axis] += weight[at] * value * target[at];
      column.forEach((other, each) => { rows[axis][each] += weight[at] * value * other; });
    }));
    const [p, q, r] = rows, turned = [cross(q, r), cross(r, p), cross(p, q)], volume = dot(p, turned[0]);
    return [0, 1, 2].map((axis) => dot(sums, turned.map((each) => each[axis])) / volume);
  }
  const misfits = (columns, target, factors) => target.map((each, at) => Math.abs(each - dot(columns[at], factors)));

  // The fit of a random triple that describes one surface, where the fit of all lies between two.
  function fitOfOneSurface(columns, target, importance, factors) {
    const present = weightedQuantile(misfits(columns, target, factors), importance, LEAST_PART);
    const sums = [];
    importance.reduce((sum, each, at) => (sums[at] = sum + each), 0);
    let state = 1, best = null, least = Infinity;
    const chance = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    for (let trial = 0; trial < TRIALS; trial++) {
      const chosen = listOf(3, () => { const at = chance() * sums.at(-1); return sums.findIndex((sum) => sum >= at); });
      const found = leastColumns(chosen.map((at) => columns[at]), chosen.map((at) => target[at]), [1, 1, 1]);
      if (!found.every(Number.isFinite)) continue;
      const misfit = weightedQuantile(misfits(columns, target, found), importance, LEAST_PART);
      if (misfit < least) [best, least] = [found, misfit];
    }
    return best && Math.max(least, 10 * LEAST_MISFIT) <= MUCH_LESS * present ? best : factors;
  }

  function robustFit(columns, target, importance) {
    let weight = importance, factors = [0, 0, 0];
    for (let round = 0; round < ROUNDS; round++) {
      factors = leastColumns(columns, target, weight);
      weight = misfits(columns, target, factors).map((misfit, at) => importance[at] / Math.max(misfit, LEAST_MISFIT));
    }
    factors = fitOfOneSurface(columns, target, importance, factors);
    for (let round = 0; round < TRIM_ROUNDS; round++) {
      const misfit = misfits(columns, target, factors);
      const most = Math.max(TRIM * weightedQuantile(misfit, importance, LEAST_PART), 10 * LEAST_MISFIT);
      factors = leastColumns(columns, target, importance.map((each, at) => (misfit[at] <= most ? each : 0)));
    }
    return factors;
  }

  // Depth at the middle of a rectangle with these corners [px]; null if too little of it has depth. Three of its corners
  // lie at these positions [m], in order around it.
  return (depth, form, pixels, [a, b, c]) => {
    const { ray, pixel, depth: away } = lensOf(form), { rows, columns: across, step } = form;
    const first = less(b, a), second = less(c, b), normal = cross(first, second), level = dot(normal, a);
    const centre = a.map((axis, at) => (axis + c[at]) / 2), place = pixel(centre);
    const sides = pixels.map(([u, v], at) => { const [x, y] = pixels[(at + 1) % 4]; return Math.hypot(x - u, y - v); });
    const reach = 0.5 - Math.min(MOST_MARGIN, (MARGIN * CORNER_ERROR) / Math.min(...sides));
    const everywhere = form.lens === "equirectangular";
    const ends = (axis, start, count) => {
      const all = pixels.map((each) => (each[axis] - start) / step), last = count - 1;
      return everywhere ? [0, last] : [clamp(0, Math.floor(Math.min(...all)), last), clamp(0, Math.ceil(Math.max(...all)), last)];
    };
    const [left, right] = ends(0, form.first_column, across), [top, bottom] = ends(1, form.first_row, rows), found = [];
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) {
        const z = depth[row * across + column];
        if (!z) continue;
        const u = form.first_column + column * step, v = form.first_row + row * step, sight = ray([u, v]);
        const far = level / dot(normal, sight), offset = less(sight.map((axis) => axis * far), centre);
        const most = Math.max(...[first, second].map((side) => Math.abs(dot(offset, side)) / dot(side, side)));
        if (far > 0 && most <= reach) found.push({ at: [1, (u - place[0]) / form.width, (v - place[1]) / form.width], ratio: Math.log(far / z), weight: most ** RIM_POWER + 1e-9 });
      }
    }
    const stride = Math.max(1, Math.floor(found.length / MOST_PIXELS)), kept = found.filter((_, at) => at % stride === 0);
    if (kept.length < FEWEST_PIXELS) return null;
    const [ratio] = robustFit(kept.map(({ at }) => at), kept.map((each) => each.ratio), kept.map(({ weight }) => weight));
    return Number.isFinite(ratio) ? away(centre) / Math.exp(ratio) : null;
  };
})();
