"use strict";
// The pixels of the object in a box, apart from the floor, the walls and the other objects around it, as
// rilievo.measure.separation finds them.

const BIN = 0.02, VALLEY = 0.15, KERNEL = [1, 2, 3, 2, 1], LOWEST = 0.05, MOST_REMOVED = 0.9;
const CONTINUOUS = 0.05, NOISE_STEPS = 6, NOISE_ON_PLANE = 2, LEAST_NOISE = 1e-3, NOISE_OF_PIXEL = 0.005, MOST_RADIUS = 3;
const SPECK_NEIGHBOURS = 4, SPECK_ROUNDS = 2, LEAST_PART = 0.005, CONTINUES = 0.1, CONTINUES_WIDELY = 0.5, SLIVER_WIDTH = 3;
const MOST_PLANES = 5, PLANE_TRIALS = 150, LEAST_PLANE = 0.12, LEAST_FOOT_PLANE = 0.05, LEAST_PLANE_POINTS = 30, MOST_SURROUNDING_POINTS = 2000;
const NOISE_OF_BEND = 10, SHARP_WIDTH = 1.3, LEAST_WIDTH = 0.65, MOST_WIDTH = 1.6, LEAST_SHARPENED = 0.008, MOST_SLOPE = 0.1, MOST_BEND = 0.008, MOST_PIXELS_BETWEEN = 12, MOST_HOLE = 4;
const LARGE_PLANE = 0.1, LEAST_CROSSING = 12, CROSSING = 0.15, STEEP = 0.015, STEEP_BORDER = 1.5, SLIVER_LEAD = 0.03, LEAST_SMALL = 12, MOSTLY_THICK = 0.8;
const FOOT = 0.2, TOLERANCES = [0.005, 0.03], LEAST_ON_PLANE = 0.002, EXACT_DEPTH = 0.5, SAME_PLANE = 0.05, REFINEMENTS = 6, DEVIATIONS = 3 * 1.4826;

const FOOT_HEIGHT = 0.05, TOP_SHARE = 0.98, SUPPORT_TILT = Math.cos((5 * Math.PI) / 18), MOST_ENDED = 0.2, LEAST_CONTINUED = 0.5, SURELY_CONTINUED = 0.8, SMALL_PART = 0.05, PEEL_WIDTH = 4;

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

const smoothingRadius = (noise) => (noise > LEAST_NOISE ? Math.min(MOST_RADIUS, Math.ceil(noise / NOISE_OF_PIXEL)) : 0);

// Inverse depth is averaged with those pairs of opposite neighbours that both are on its surface.
function smoothedDepth(depth, valid, { rows, columns }, noise) {
  const radius = smoothingRadius(noise);
  if (!radius) return depth;
  const logs = depth.map(Math.log), most = Math.max(CONTINUOUS, NOISE_STEPS * noise), found = depth.slice();
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      if (!valid[at]) continue;
      const inverse = 1 / depth[at];
      let total = inverse, count = 1;
      for (let down = 0; down <= radius; down++) {
        for (let right = down ? -radius : 1; right <= radius; right++) {
          if (row < down || row + down >= rows || column < Math.abs(right) || column + Math.abs(right) >= columns) continue;
          const shift = down * columns + right, [ahead, behind] = [at + shift, at - shift];
          if (!valid[ahead] || !valid[behind] || Math.max(Math.abs(logs[ahead] - logs[at]), Math.abs(logs[behind] - logs[at])) > most) continue;
          const both = 1 / depth[ahead] + 1 / depth[behind];
          if (Math.abs(both - 2 * inverse) > NOISE_OF_BEND * noise * inverse) continue;
          total += both;
          count += 2;
        }
      }
      found[at] = count / total;
    }
  }
  return found;
}

// Inverse depth with small holes in a row filled by lines, and what has depth.
function withoutSmallHoles(inverse, valid) {
  const filled = inverse.slice(), hasDepth = valid.slice();
  for (let at = 0; at < valid.length; at++) {
    if (!valid[at] || at + 1 >= valid.length || valid[at + 1]) continue;
    let after = at + 1;
    while (after < valid.length && !valid[after]) after++;
    const length = after - at - 1;
    if (after >= valid.length || length > MOST_HOLE) continue;
    for (let shift = 1; shift <= length; shift++) {
      filled[at + shift] = inverse[at] + ((inverse[after] - inverse[at]) * shift) / (length + 1);
      hasDepth[at + shift] = 1;
    }
  }
  return [filled, hasDepth];
}

// A row of depth in which each pixel between two surfaces lies on the nearer one, for edges of a width.
function sharpenedRow(depth, valid, width, noise) {
  const [inverse, hasDepth] = withoutSmallHoles(depth.map((each) => 1 / each), valid), found = depth.slice(), isOpen = valid.slice();
  const least = Math.max(LEAST_SHARPENED, NOISE_STEPS * noise), [narrow, wide] = [LEAST_WIDTH * width, MOST_WIDTH * width];
  for (let count = 1; count <= Math.min(MOST_PIXELS_BETWEEN, Math.ceil(MOST_WIDTH * wide)); count++) {
    const edges = [];
    for (let start = 0; start < depth.length - count - 5; start++) {
      const values = inverse.subarray(start, start + count + 6);
      if (hasDepth.subarray(start, start + count + 6).some((each) => !each)) continue;
      const left = values.subarray(0, 3), right = values.subarray(count + 3), rise = right[0] - left[2], size = Math.abs(rise);
      const farther = Math.min(right[0], left[2]), slopes = [(left[2] - left[0]) / 2, (right[2] - right[0]) / 2];
      const bend = Math.max(Math.abs(left[2] - 2 * left[1] + left[0]), Math.abs(right[2] - 2 * right[1] + right[0]));
      let [largest, smallest] = [-Infinity, Infinity];
      for (let each = 2; each < count + 3; each++) {
        const step = (values[each + 1] - values[each]) * Math.sign(rise);
        [largest, smallest] = [Math.max(largest, step), Math.min(smallest, step)];
      }
      const isEdge = size > least * farther && Math.max(Math.abs(slopes[0]), Math.abs(slopes[1])) <= MOST_SLOPE * size &&
        bend <= MOST_BEND * size + NOISE_STEPS * noise * farther && smallest >= -MOST_SLOPE * size && narrow * largest <= size && size <= wide * largest;
      if (isEdge) edges.push({ start, values, left, right, slopes });
    }
    // Pixel after pixel of all edges, as an earlier pixel of one may be a later one of another.
    for (let number = 1; number <= count; number++) {
      const taken = [];
      for (const { start, values, left, right, slopes } of edges) {
        const at = start + number + 2, value = values[number + 2];
        const byLeft = left[2] + number * slopes[0], byRight = right[0] - (count + 1 - number) * slopes[1];
        const nearer = Math.abs(value - byLeft) <= Math.abs(value - byRight) ? byLeft : byRight;
        if (isOpen[at] && nearer > 0) found[at] = 1 / nearer;
        taken.push(at);
      }
      for (const at of taken) isOpen[at] = 0;
    }
  }
  return found;
}

// Depth whose edges, so many pixels wide, are made sharp along rows and then along columns.
function sharpenedDepth(depth, valid, { rows, columns }, width, noise) {
  if (width <= SHARP_WIDTH) return depth;
  const found = depth.slice();
  for (let row = 0; row < rows; row++) {
    const span = [row * columns, (row + 1) * columns];
    found.set(sharpenedRow(found.slice(...span), valid.slice(...span), width, noise), span[0]);
  }
  for (let column = 0; column < columns; column++) {
    const places = listOf(rows, (row) => row * columns + column), line = sharpenedRow(Float64Array.from(places, (at) => found[at]), Uint8Array.from(places, (at) => valid[at]), width, noise);
    places.forEach((at, row) => { found[at] = line[row]; });
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

// Planes that hold many of the points: exact ones first, and then those that are not quite flat, unless the exact ones hold
// most points. Then depth is exact, and an uneven plane through the rest would join parts of other objects.
function planesOf(points, share = LEAST_PLANE) {
  const planes = [], all = points.length, least = Math.max(LEAST_PLANE_POINTS, (share * all) / 3);
  for (const tolerance of TOLERANCES) {
    if (planes.length && all - points.length >= EXACT_DEPTH * all) break;
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

// Parts of the pixels on a plane that belong to a surface which passes through it: they spread evenly over the tolerance.
function passingThrough(on, misses, tolerance, isLinked, window) {
  const besides = besidesOf(window), seen = new Uint8Array(on.length), found = new Uint8Array(on.length);
  for (let start = 0; start < on.length; start++) {
    if (!on[start] || seen[start]) continue;
    const part = [start], outer = [0, 0];
    seen[start] = 1;
    for (let next = 0; next < part.length; next++) {
      const at = part[next];
      [-1, 1].forEach((side, each) => { if (side * misses[at] > tolerance / 2) outer[each]++; });
      for (const beside of besides(at)) {
        if (beside < 0 || !on[beside] || seen[beside] || !isLinked(at, beside)) continue;
        seen[beside] = 1;
        part.push(beside);
      }
    }
    if (part.length >= LEAST_CROSSING && outer.every((count) => count >= CROSSING * part.length)) for (const at of part) found[at] = 1;
  }
  return found;
}

// Logarithms of distance, and whether two pixels are on one surface by them.
function linksOf({ points, valid, rows, columns }) {
  const logs = new Float64Array(valid.length).map((_, at) => Math.log(valid[at] ? Math.hypot(points[3 * at], points[3 * at + 1], points[3 * at + 2]) : Math.sqrt(3)));
  const most = Math.max(CONTINUOUS, NOISE_STEPS * noiseOf(logs, valid, { rows, columns }));
  return { logs, isLinked: (one, other) => valid[one] && valid[other] && Math.abs(logs[one] - logs[other]) <= most };
}

// Pixels of the region off the planes that the object stands on or before.
function withoutPlanes(window, planes) {
  const { points, inside, weight, noise } = window, { isLinked } = linksOf(window);
  const left = inside.slice(), accepted = [], large = [], count = (mask) => mask.reduce((sum, each) => sum + each, 0);
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
    const misses = new Float64Array(left.length).map((_, at) => missOf(plane.m, points, 3 * at)), on = left.map((each, at) => (each && Math.abs(misses[at]) < tolerance ? 1 : 0));
    const crossing = passingThrough(on, misses, tolerance, isLinked, window);
    let removed = 0;
    for (let at = 0; at < left.length; at++) if (on[at] && !crossing[at]) [left[at], removed] = [0, removed + 1];
    if (!removed && crossing.some((each) => each)) continue;
    if (removed >= LARGE_PLANE * count(inside)) large.push(plane);
    accepted.push(plane);
  }
  // Little is left: a small object before them, or what noise leaves of a plane that is measured.
  const isKept = count(left) > (1 - MOST_REMOVED) * count(inside) || hasPartBefore(window, left, large);
  return isKept ? { left, accepted } : { left: inside, accepted: [] };
}

// Pixels that lie before all planes, by a share of depth.
const isBefore = ({ points, valid }, planes, lead) => valid.map((_, at) => (planes.every(({ m }) => missOf(m, points, 3 * at) < -lead) ? 1 : 0));

// Whether many pixels that are no lines and no specks lie clearly before all planes.
function hasPartBefore(window, candidates, planes) {
  const before = isBefore(window, planes, Math.max(SLIVER_LEAD, NOISE_STEPS * window.noise));
  return withoutSpecks(candidates.map((each, at) => each & before[at]), window).reduce((sum, each) => sum + each, 0) >= LEAST_SMALL;
}

const besidesOf = ({ rows, columns }) => (at) => [at % columns ? at - 1 : -1, (at + 1) % columns ? at + 1 : -1, at - columns, at + columns < rows * columns ? at + columns : -1];

// A mask without its border of a width; what lies outside of the grid is not in it.
function erodedMask(mask, grid, width) {
  const besides = besidesOf(grid);
  for (let round = 0; round < width; round++) {
    const before = mask;
    mask = before.map((each, at) => (each && besides(at).every((beside) => beside >= 0 && before[beside]) ? 1 : 0));
  }
  return mask;
}

// The object without the pixels at its border that melt into what is beside it.
function withoutSteepBorder(own, logs, window) {
  const besides = besidesOf(window), most = Math.max(STEEP, NOISE_STEPS * window.noise);
  for (let round = 0; round < Math.ceil(STEEP_BORDER * window.edgeWidth); round++) {
    const before = own, inner = erodedMask(before.map((each, at) => (each || !window.valid[at] ? 1 : 0)), window, 1);
    own = before.map((each, at) => (each && (inner[at] || besides(at).every((beside) => beside < 0 || !before[beside] || Math.abs(logs[beside] - logs[at]) <= most)) ? 1 : 0));
  }
  return own;
}

// The object without lines of single pixels, which are mixtures; a thin object stays as it is.
function withoutLines(own, window) {
  const besides = besidesOf(window), inner = erodedMask(own.map((each, at) => (each || !window.valid[at] ? 1 : 0)), window, 1);
  const opened = own.map((each, at) => (each && (inner[at] || besides(at).some((beside) => beside >= 0 && inner[beside])) ? 1 : 0));
  const count = (mask) => mask.reduce((sum, each) => sum + each, 0);
  return count(opened) >= MOSTLY_THICK * count(own) ? opened : own;
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
function partsOfBox(window, candidates, planes) {
  const { valid, region, weight, rows, columns } = window, count = rows * columns, { logs, isLinked } = linksOf(window);
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
  const main = parts.reduce((best, each) => (best && best.weight >= each.weight ? best : each), null), others = new Uint8Array(count);
  let own = new Uint8Array(count);
  const { hasMixtures } = window;
  const inner = hasMixtures && erodedMask(candidates.map((each, at) => (each || !valid[at] ? 1 : 0)), window, Math.ceil(window.edgeWidth / 2));
  for (const part of parts) {
    const size = part.pixels.length, mean = part.sum / size;
    const isBeside = mean >= main.low && mean <= main.high && part.outward <= CONTINUES * size && part.outward <= CONTINUES_WIDELY * Math.sqrt(size) && size >= LEAST_PART * main.pixels.length;
    const isThick = !hasMixtures || part.pixels.some((at) => inner[at]);
    if (part === main || (isBeside && isThick)) for (const at of part.pixels) own[at] = 1;
    else if (part.outward <= CONTINUES * size) for (const at of part.pixels) others[at] = 1;
  }
  if (!hasMixtures) {
    const before = isBefore(window, planes, SLIVER_LEAD);
    return withSlivers(own, others.map((each, at) => each & before[at]), parts, window);
  }
  if (window.edgeWidth > SHARP_WIDTH) own = withoutSteepBorder(own, logs, window);
  return withoutLines(own, window);
}

// With thin parts beside the object: a side that is seen edge-on jumps from pixel to pixel.
function withSlivers(own, others, parts, { columns }) {
  const count = own.length, neighboursOf = (at) => [at % columns ? at - 1 : -1, (at + 1) % columns ? at + 1 : -1, at - columns, at + columns < count ? at + columns : -1];
  const eroded = (mask) => mask.map((each, at) => (each && neighboursOf(at).every((beside) => beside >= 0 && mask[beside]) ? 1 : 0));
  const inner = eroded(eroded(others)), thin = new Uint8Array(count);
  for (const { pixels } of parts) if (!pixels.some((at) => inner[at])) for (const at of pixels) thin[at] = others[at];
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

// Pixels on the surface below an object, or little above or below it.
function pixelsAtFoot({ points }, atMode, planes) {
  const level = planes.filter(({ m }) => m[1] / Math.hypot(...m) > SUPPORT_TILT).map(({ m }) => new Float64Array(atMode.length).map((_, at) => -missOf(m, points, 3 * at)));
  const atModeOf = (heights) => Array.from(heights).filter((_, at) => atMode[at]), distance = (heights) => Math.abs(quantile(atModeOf(heights), 0.01));
  if (!level.length) return new Uint8Array(atMode.length);
  const heights = level.reduce((best, each) => (distance(best) <= distance(each) ? best : each)), most = FOOT_HEIGHT * quantile(atModeOf(heights), TOP_SHARE);
  return atMode.map((_, at) => (Math.abs(heights[at]) < most ? 1 : 0));
}

// Sides of the pixels of parts to the left, to the right and above, and those beyond which the surface goes on.
function outlineOfParts(window, own, parts, logs) {
  const { valid, rows, columns } = window, most = Math.max(CONTINUOUS, NOISE_STEPS * noiseOf(logs, valid, window)), reach = Math.ceil(STEEP_BORDER * window.edgeWidth);
  const mostRise = Math.max(1, reach / 2) * most, sides = new Float64Array(own.length), continued = new Float64Array(own.length);
  const away = (at, right, down) => {
    const column = (at % columns) + right, row = Math.floor(at / columns) + down;
    return column < 0 || column >= columns || row < 0 || row >= rows ? -1 : row * columns + column;
  };
  for (let at = 0; at < own.length; at++) {
    if (!parts[at]) continue;
    for (const [right, down] of [[0, -1], [-1, 0], [1, 0]]) {
      const next = away(at, right, down), beyond = away(at, reach * right, reach * down);
      if ((next >= 0 && own[next]) || beyond < 0 || !valid[beyond] || own[beyond]) continue;
      sides[at]++;
      if (Math.abs(logs[at] - logs[beyond]) <= mostRise) continued[at]++;
    }
  }
  return { sides, continued };
}

// An object without the pixels that depth without clear edges connects with it, and which of them are doubtful.
function withoutAdjoining(window, own, planes) {
  const { weight, edgeWidth } = window, { logs, isLinked } = linksOf(window), besides = besidesOf(window), nothing = new Uint8Array(own.length);
  const places = listOf(own.length, (at) => at).filter((at) => own[at]), atMode = new Uint8Array(own.length);
  const result = { own, doubtful: nothing };
  if (!places.length) return result;
  const isMode = modeOf(places.map((at) => logs[at]), places.map((at) => weight[at]));
  places.forEach((at, each) => { atMode[at] = isMode[each] ? 1 : 0; });
  const low = pixelsAtFoot(window, atMode, planes), suspected = own.map((each, at) => (each && (!atMode[at] || low[at]) ? 1 : 0));
  if (!suspected.some((each) => each) || own.every((each, at) => !each || suspected[at])) return result;
  const outside = nothing.slice(), doubtful = nothing.slice(), peelWidth = Math.ceil(PEEL_WIDTH * edgeWidth);
  for (const isLow of [1, 0]) {
    const parts = suspected.map((each, at) => (each && low[at] === isLow ? 1 : 0)), { sides, continued } = outlineOfParts(window, own, parts, logs), isSeen = nothing.slice();
    let peeled = parts.map((_, at) => (continued[at] ? 1 : 0));
    for (let round = 0; round < peelWidth; round++) {
      const before = peeled;
      peeled = before.map((each, at) => (each || besides(at).some((beside) => beside >= 0 && before[beside]) ? 1 : 0));
    }
    for (let start = 0; start < own.length; start++) {
      if (!parts[start] || isSeen[start]) continue;
      const part = [start];
      let [sideCount, continuedCount] = [0, 0];
      isSeen[start] = 1;
      for (let next = 0; next < part.length; next++) {
        const at = part[next];
        [sideCount, continuedCount] = [sideCount + sides[at], continuedCount + continued[at]];
        for (const beside of besides(at)) {
          if (beside < 0 || !parts[beside] || isSeen[beside] || !isLinked(at, beside)) continue;
          isSeen[beside] = 1;
          part.push(beside);
        }
      }
      const share = continuedCount / Math.max(sideCount, 1), isSpeck = edgeWidth > SHARP_WIDTH && part.length < LEAST_PART * places.length;
      const isOutside = isSpeck || share >= (part.length <= SMALL_PART * places.length ? LEAST_CONTINUED : SURELY_CONTINUED);
      for (const at of part) {
        if (isOutside || peeled[at]) outside[at] = 1;
        else if (share > MOST_ENDED) doubtful[at] = 1;
      }
    }
  }
  const left = own.map((each, at) => (each && !outside[at] && !doubtful[at] ? 1 : 0));
  const isSame = left.every((each, at) => each === own[at]);
  return { own: isSame ? own : withoutSpecksApart(left, window), doubtful };
}

// Without specks that lie apart since what the object touches was removed: the last pixels of the background.
function withoutSpecksApart(own, window) {
  const besides = besidesOf(window), parts = [], isSeen = new Uint8Array(own.length);
  for (let start = 0; start < own.length; start++) {
    if (!own[start] || isSeen[start]) continue;
    const part = [start];
    isSeen[start] = 1;
    for (let next = 0; next < part.length; next++) {
      for (const beside of besides(part[next])) {
        if (beside < 0 || !own[beside] || isSeen[beside]) continue;
        isSeen[beside] = 1;
        part.push(beside);
      }
    }
    parts.push(part);
  }
  const most = parts.reduce((size, part) => Math.max(size, part.length), 0), kept = new Uint8Array(own.length);
  for (const part of parts) if (part.length >= LEAST_PART * most) for (const at of part) kept[at] = 1;
  return kept;
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
  const own = partsOfBox(window, window.noise > LEAST_NOISE ? withoutSpecks(left.slice(), window) : left, accepted);
  // A sensor that lets depth run on from one surface into another also shows bumps on planes.
  const isFlat = accepted.every(({ tolerance }) => tolerance <= Math.max(TOLERANCES[0], window.noise));
  return { ...(isFlat ? { own } : withoutAdjoining(window, own, accepted)), planes: accepted, isSoft: false };
}
