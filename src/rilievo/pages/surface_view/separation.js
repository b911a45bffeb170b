"use strict";
// The pixels of the object in a box, apart from the floor, the walls and the other objects around it, as
// rilievo.measure.separation finds them.

const BIN = 0.02, VALLEY = 0.15, KERNEL = [1, 2, 3, 2, 1], LOWEST = 0.05, MOST_REMOVED = 0.9;
const CONTINUOUS = 0.05, NOISE_STEPS = 6, NOISE_ON_PLANE = 2, LEAST_NOISE = 1e-3, NOISE_OF_PIXEL = 0.005, MOST_RADIUS = 3;
const SPECK_NEIGHBOURS = 4, SPECK_ROUNDS = 2, LEAST_PART = 0.005, CONTINUES = 0.1, SLIVER_WIDTH = 3;
const MOST_PLANES = 5, PLANE_TRIALS = 150, LEAST_PLANE = 0.12, LEAST_FOOT_PLANE = 0.05, LEAST_PLANE_POINTS = 30, MOST_SURROUNDING_POINTS = 2000;
const FOOT = 0.2, TOLERANCES = [0.005, 0.03], LEAST_ON_PLANE = 0.002, SAME_PLANE = 0.05, REFINEMENTS = 6, DEVIATIONS = 3 * 1.4826;

// Numbers around the mode of their density, as far as it is dense.
function modeOf(logs, weights) {
  const first = logs.reduce((least, each) => Math.min(least, each), Infinity), bins = logs.map((each) => Math.floor((each - first) / BIN));
  const counts = new Float64Array(bins.reduce((most, each) => Math.max(most, each), 0) + 1);
  bins.forEach((bin, at) => { counts[bin] += weights[at]; });
  const density = counts.map((_, at) => KERNEL.reduce((sum, each, way) => sum + each * (counts[at + way - 2] ?? 0), 0));
  const peak = density.indexOf(density.reduce((most, each) => Math.max(most, each), 0)), isSparse = (each) => density[each] < VALLEY * density[peak];
  let low = peak, high = peak;
  while (low > 0 && !isSparse(low - 1)) low--;
  while (high < density.length - 1 && !isSparse(high + 1)) high++;
  return bins.map((bin) => bin >= low && bin <= high);
}

// Standard deviation of noise in log depth, by second differences along rows.
function noiseOf(logs, valid, { rows, columns }) {
  const bends = [];
  for (let row = 0; row < rows; row++) {
    for (let at = row * columns + 1; at < (row + 1) * columns - 1; at++) {
      if (valid[at - 1] && valid[at] && valid[at + 1]) bends.push(Math.abs(logs[at - 1] - 2 * logs[at] + logs[at + 1]));
    }
  }
  return bends.length ? (1.4826 / Math.sqrt(6)) * quantile(bends, 0.5) : 0;
}

// Inverse depth is averaged with those pairs of opposite neighbours that both are on its surface.
function smoothedDepth(depth, valid, { rows, columns }, noise) {
  const radius = noise > LEAST_NOISE ? Math.min(MOST_RADIUS, Math.ceil(noise / NOISE_OF_PIXEL)) : 0;
  if (!radius) return depth;
  const logs = depth.map(Math.log), most = Math.max(CONTINUOUS, NOISE_STEPS * noise), found = depth.slice();
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      if (!valid[at]) continue;
      let total = 1 / depth[at], count = 1;
      for (let down = 0; down <= radius; down++) {
        for (let right = down ? -radius : 1; right <= radius; right++) {
          if (row < down || row + down >= rows || column < Math.abs(right) || column + Math.abs(right) >= columns) continue;
          const shift = down * columns + right, [one, other] = [at + shift, at - shift];
          if (!valid[one] || !valid[other] || Math.max(Math.abs(logs[one] - logs[at]), Math.abs(logs[other] - logs[at])) > most) continue;
          total += 1 / depth[one] + 1 / depth[other];
          count += 2;
        }
      }
      found[at] = count / total;
    }
  }
  return found;
}

const missOf = (m, points, at) => m[0] * points[at] + m[1] * points[at + 1] + m[2] * points[at + 2] - 1;

function toleranceOf(misses) {
  if (!misses.length) return LEAST_ON_PLANE;
  return Math.min(TOLERANCES[1], Math.max(DEVIATIONS * quantile(misses, 0.5), LEAST_ON_PLANE));
}

// The plane m·p = 1 of least squares through what lies on it, and how closely.
function refinedPlane(m, points, tolerance) {
  for (let round = 0; round < REFINEMENTS; round++) {
    const inside = [];
    for (let at = 0; at < points.length; at += 3) {
      if (Math.abs(missOf(m, points, at)) < tolerance) inside.push(points[at], points[at + 1], points[at + 2]);
    }
    if (inside.length < 3 * LEAST_PLANE_POINTS) break;
    m = leastSquares(inside, new Float64Array(inside.length / 3).fill(1));
    const misses = [];
    for (let at = 0; at < inside.length; at += 3) misses.push(Math.abs(missOf(m, inside, at)));
    tolerance = toleranceOf(misses);
  }
  return { m, tolerance };
}

// Numbers of Park and Miller (1988), always the same.
function trialIndices(count) {
  let state = 1;
  return listOf(PLANE_TRIALS, () => listOf(3, () => {
    state = (state * 16807) % 2147483647;
    return state % count;
  }));
}

function largestPlane(points, tolerance) {
  const at = (each) => [points[3 * each], points[3 * each + 1], points[3 * each + 2]];
  const triples = trialIndices(points.length / 3).map((three) => three.map(at)), volumes = triples.map(([p, q, r]) => dot(p, cross(q, r)));
  const size = triples.reduce((most, [p, q, r]) => Math.max(most, ...[0, 1, 2].map((axis) => Math.abs(p[axis] * q[axis] * r[axis]))), 0);
  let best = null, most = -1;
  triples.forEach(([p, q, r], trial) => {
    if (!(Math.abs(volumes[trial]) > 1e-9 * size)) return;
    const sums = [cross(q, r), cross(r, p), cross(p, q)], m = [0, 1, 2].map((axis) => (sums[0][axis] + sums[1][axis] + sums[2][axis]) / volumes[trial]);
    let votes = 0;
    for (let each = 0; each < points.length; each += 3) votes += Math.abs(missOf(m, points, each)) < tolerance ? 1 : 0;
    if (votes > most) [best, most] = [m, votes];
  });
  return best && refinedPlane(best, points, tolerance);
}

// Planes that hold many of the points: exact ones first, and then those that are not quite flat.
function planesOf(points, share = LEAST_PLANE) {
  const planes = [], least = Math.max(LEAST_PLANE_POINTS, (share * points.length) / 3);
  for (const tolerance of TOLERANCES) {
    while (planes.length < MOST_PLANES && points.length / 3 >= least) {
      const plane = largestPlane(points, tolerance);
      let count = 0;
      for (let at = 0; plane && at < points.length; at += 3) count += Math.abs(missOf(plane.m, points, at)) < plane.tolerance ? 1 : 0;
      if (!plane || count < least) break;
      planes.push(plane);
      const left = [];
      for (let at = 0; at < points.length; at += 3) {
        if (Math.abs(missOf(plane.m, points, at)) > 2 * plane.tolerance) left.push(points[at], points[at + 1], points[at + 2]);
      }
      points = left;
    }
  }
  return planes;
}

const isSamePlane = ({ m }, other) => Math.hypot(...less(m, other.m)) < SAME_PLANE * Math.hypot(...other.m);

// Points around the region, and those around its foot.
function surroundings({ points, valid, region, rows, columns, regionRows: [first, last] }) {
  const top = Math.ceil(last - FOOT * (last - first));
  return [0, top].map((start) => {
    const around = [];
    for (let at = start * columns; at < rows * columns; at++) if (valid[at] && !region[at]) around.push(at);
    const stride = Math.max(1, Math.floor(around.length / MOST_SURROUNDING_POINTS));
    return around.filter((_, each) => each % stride === 0).flatMap((at) => [points[3 * at], points[3 * at + 1], points[3 * at + 2]]);
  });
}

// Pixels of the region off the planes that the object stands on or before.
function withoutPlanes({ points, inside, weight, noise }, planes) {
  const left = inside.slice(), accepted = [];
  for (const plane of planes) {
    const tolerance = Math.max(plane.tolerance, NOISE_ON_PLANE * noise);
    let before = 0, total = 0;
    for (let at = 0; at < left.length; at++) {
      if (!left[at]) continue;
      const side = missOf(plane.m, points, 3 * at);
      if (Math.abs(side) < tolerance) continue;
      total += weight[at];
      if (side < 0) before += weight[at];
    }
    if (before <= 0.5 * total) continue;
    for (let at = 0; at < left.length; at++) if (left[at] && Math.abs(missOf(plane.m, points, 3 * at)) < tolerance) left[at] = 0;
    accepted.push(plane);
  }
  const count = (mask) => mask.reduce((sum, each) => sum + each, 0);
  return count(left) <= (1 - MOST_REMOVED) * count(inside) ? { left: inside, accepted: [] } : { left, accepted };
}

// A mask without pixels that have few of their eight neighbours in it.
function withoutSpecks(mask, { rows, columns }) {
  for (let round = 0; round < SPECK_ROUNDS; round++) {
    const before = mask.slice(), isIn = (row, column) => row >= 0 && row < rows && column >= 0 && column < columns && before[row * columns + column];
    for (let row = 0, at = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, at++) {
        let neighbours = -before[at];
        for (let down = -1; down <= 1; down++) for (let right = -1; right <= 1; right++) neighbours += isIn(row + down, column + right) ? 1 : 0;
        if (neighbours < SPECK_NEIGHBOURS) mask[at] = 0;
      }
    }
  }
  return mask;
}

// The part with the largest weight, and others at its distance that end in the box.
function partsOfBox(window, candidates) {
  const { points, valid, region, weight, rows, columns } = window, count = rows * columns;
  const logs = new Float64Array(count).map((_, at) => Math.log(valid[at] ? Math.hypot(points[3 * at], points[3 * at + 1], points[3 * at + 2]) : Math.sqrt(3)));
  const most = Math.max(CONTINUOUS, NOISE_STEPS * noiseOf(logs, valid, window));
  const isLinked = (one, other) => valid[one] && valid[other] && Math.abs(logs[one] - logs[other]) <= most;
  const label = new Int32Array(count).fill(-1), parts = [];
  const neighboursOf = (at) => [at % columns ? at - 1 : -1, (at + 1) % columns ? at + 1 : -1, at - columns, at + columns < count ? at + columns : -1].filter((each) => each >= 0);
  for (let start = 0; start < count; start++) {
    if (!candidates[start] || label[start] >= 0) continue;
    const part = { pixels: [start], weight: 0, outward: 0, sum: 0, low: Infinity, high: -Infinity };
    label[start] = parts.length;
    for (let next = 0; next < part.pixels.length; next++) {
      const at = part.pixels[next];
      part.weight += weight[at];
      part.sum += logs[at];
      [part.low, part.high] = [Math.min(part.low, logs[at]), Math.max(part.high, logs[at])];
      for (const beside of neighboursOf(at)) {
        if (!isLinked(at, beside)) continue;
        if (!region[beside]) part.outward++;
        if (!candidates[beside] || label[beside] >= 0) continue;
        label[beside] = parts.length;
        part.pixels.push(beside);
      }
    }
    parts.push(part);
  }
  const main = parts.reduce((best, each) => (best && best.weight >= each.weight ? best : each), null), own = new Uint8Array(count), others = new Uint8Array(count);
  for (const part of parts) {
    const size = part.pixels.length, mean = part.sum / size;
    const isBeside = mean >= main.low && mean <= main.high && part.outward <= CONTINUES * size && size >= LEAST_PART * main.pixels.length;
    if (part === main || isBeside) for (const at of part.pixels) own[at] = 1;
    else if (part.outward <= CONTINUES * size) for (const at of part.pixels) others[at] = 1;
  }
  return window.noise <= LEAST_NOISE ? withSlivers(own, others, parts, window) : own;
}

// With thin parts beside the object: a side that is seen edge-on jumps from pixel to pixel.
function withSlivers(own, others, parts, { columns }) {
  const count = own.length, neighboursOf = (at) => [at % columns ? at - 1 : -1, (at + 1) % columns ? at + 1 : -1, at - columns, at + columns < count ? at + columns : -1];
  const eroded = (mask) => mask.map((each, at) => (each && neighboursOf(at).every((beside) => beside >= 0 && mask[beside]) ? 1 : 0));
  const inner = eroded(eroded(others)), thin = new Uint8Array(count);
  for (const { pixels } of parts) if (others[pixels[0]] && !pixels.some((at) => inner[at])) for (const at of pixels) thin[at] = 1;
  for (let round = 0; round < SLIVER_WIDTH; round++) {
    const before = own.slice();
    for (let at = 0; at < count; at++) if (thin[at] && neighboursOf(at).some((beside) => before[beside])) own[at] = 1;
  }
  return own;
}

// The pixels at the most frequent distance, where edges are soft.
function pixelsAtMode({ points, inside, weight }, floor) {
  const above = floor ? inside.map((each, at) => (each && missOf(floor.m, points, 3 * at) < -LOWEST ? 1 : 0)) : inside;
  const count = (mask) => mask.reduce((sum, each) => sum + each, 0);
  const kept = floor && count(above) > (1 - MOST_REMOVED) * count(inside) ? above : inside, own = new Uint8Array(inside.length), places = [];
  kept.forEach((each, at) => { if (each) places.push(at); });
  if (!places.length) return own;
  const isOwn = modeOf(places.map((at) => Math.log(Math.hypot(points[3 * at], points[3 * at + 1], points[3 * at + 2]))), places.map((at) => weight[at]));
  places.forEach((at, each) => { own[at] = isOwn[each] ? 1 : 0; });
  return own;
}

// The object's pixels, and the planes around it.
function separated(window, floor) {
  const [around, atFoot] = surroundings(window), planes = planesOf(around);
  if (window.isSoft && !planes.some(({ tolerance }) => tolerance <= LEAST_ON_PLANE)) {
    return { own: pixelsAtMode(window, floor), planes: floor ? [floor] : [], isSoft: true };
  }
  const add = (more) => planes.push(...more.filter((each) => !planes.some((plane) => isSamePlane(plane, each))));
  add(planesOf(atFoot, LEAST_FOOT_PLANE));
  if (floor) add([floor]);
  const { left, accepted } = withoutPlanes(window, planes);
  return { own: partsOfBox(window, window.noise > LEAST_NOISE ? withoutSpecks(left.slice(), window) : left), planes: accepted, isSoft: false };
}
