"use strict";
// The thing in a box, as rilievo.measure.extents finds it, but without normals.

const BIN = 0.02, VALLEY = 0.15, KERNEL = [1, 2, 3, 2, 1], EXTENT = [0.01, 0.99], LOWEST = 0.05, MOST_FLOOR = 0.9;
const NEAREST = 0.1, OUTLINE = [0.19, 0.19], FOOT_ERROR = 0.15, TILT_ERROR = 0.01, LEAST_DROP = 1e-3;

// Numbers around the mode of their density, as far as it is dense.
function modeOf(logs, weights) {
  const first = Math.min(...logs), bins = logs.map((each) => Math.floor((each - first) / BIN));
  const counts = new Float64Array(Math.max(...bins) + 1);
  bins.forEach((bin, at) => { counts[bin] += weights[at]; });
  const density = counts.map((_, at) => KERNEL.reduce((sum, each, way) => sum + each * (counts[at + way - 2] ?? 0), 0));
  const peak = density.indexOf(Math.max(...density)), isSparse = (each) => density[each] < VALLEY * density[peak];
  let low = peak, high = peak;
  while (low > 0 && !isSparse(low - 1)) low--;
  while (high < density.length - 1 && !isSparse(high + 1)) high++;
  return bins.map((bin) => bin >= low && bin <= high);
}

// Its distance, width and height in the unit of depth, by the corners of the box; null of too little depth.
// `scale` is what distances are multiplied by where the street tells them, and `scaleError` their error then.
function boxedThing(depth, form, terms, [one, other]) {
  const { ray } = lensOf(form), { floor } = terms, size = (vector) => Math.hypot(...vector);
  const [[left, right], [top, bottom]] = [0, 1].map((axis) => [one[axis], other[axis]].sort((a, b) => a - b));
  const shares = (at, from, to) => 2 * (at - Math.ceil(from)) / (Math.floor(to) - Math.ceil(from)) - 1;
  let found = [];
  for (let at = 0; at < depth.length; at++) {
    const u = form.first_column + (at % form.columns) * form.step, v = form.first_row + Math.floor(at / form.columns) * form.step;
    if (!depth[at] || u < left || u > right || v < top || v > bottom) continue;
    const weight = (1.001 - shares(u, left, right) ** 2) * (1.001 - shares(v, top, bottom) ** 2);
    found.push({ place: ray([u, v]).map((axis) => axis * depth[at]), weight });
  }
  const above = floor ? found.filter(({ place }) => dot(place, floor.normal) + floor.height >= LOWEST * floor.height) : found;
  if (above.length > (1 - MOST_FLOOR) * found.length) found = above;
  if (found.length < FEWEST) return null;
  const own = modeOf(found.map(({ place }) => Math.log(size(place))), found.map(({ weight }) => weight));
  const places = found.map(({ place }) => place).filter((_, at) => own[at]), far = places.map(size);
  const up = floor?.normal ?? [0, -1, 0], ahead = up.map((axis, at) => (at === 2 ? 1 : 0) - up[2] * axis);
  const across = cross(ahead, up);
  const extent = (axis) => {
    const [low, high] = EXTENT.map((share) => quantile(places.map((each) => dot(each, axis)), share));
    return high - low;
  };
  const middle = quantile(far, 0.5), near = quantile(far, NEAREST);
  const line = ray([(left + right) / 2, bottom]), drop = floor ? -dot(line, floor.normal) / size(line) : 0;
  const isFoot = terms.is_street && drop > LEAST_DROP && bottom <= form.height - 2;
  return { value: middle, sizes: [extent(across) / size(across), extent(up)], at: [0, 1, 2].map((axis) => quantile(places.map((each) => each[axis]), 0.5)),
    scale: isFoot ? floor.height / drop / Math.sqrt(near * middle) : 0,
    scaleError: isFoot ? Math.hypot(FOOT_ERROR, TILT_ERROR / drop) : 0 };
}
