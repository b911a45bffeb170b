"use strict";
// Planes through parts of the surface, as rilievo.measure.quantities fits them.

const FEWEST = 12, ROUNDS = 10, PATCH = 0.04; // points, rounds, radius as a share of the width
// The largest misses of points that count, over the median, in rounds of least squares, and the least miss that counts.
const TRIM_RATIOS = [...Array(8).fill(1.5), ...Array(3).fill(3)], LEAST_MISS = 1e-4;
// Most cells along each side of an outline, mean number of points in one, and share of them that stays below the bend.
const BEND_CELLS = 8, BEND_CELL_POINTS = 49, BEND_QUANTILE = 0.9;

function quantile(numbers, share) {
  const sorted = Float64Array.from(numbers).sort(), at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)], high = sorted[Math.ceil(at)];
  return low + (at - Math.floor(at)) * (high - low);
}

const clamp = (least, number, most) => Math.max(least, Math.min(most, number));
const listOf = (length, make) => Array.from({ length }, (_, each) => make(each));

const dot = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
const cross = (p, q) => [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];

// The plane m·p = 1 of x, y, z, ..., with the least sum of squares, each times its weight.
function leastSquares(points, weight) {
  const rows = [[0, 0, 0], [0, 0, 0], [0, 0, 0]], sums = [0, 0, 0];
  for (let at = 0, each = 0; at < points.length; at += 3, each++) {
    for (let axis = 0; axis < 3; axis++) {
      const weighted = weight[each] * points[at + axis];
      sums[axis] += weighted;
      for (let other = axis; other < 3; other++) rows[axis][other] += weighted * points[at + other];
    }
  }
  for (const [axis, other] of [[1, 0], [2, 0], [2, 1]]) rows[axis][other] = rows[other][axis];
  return solved(rows, sums);
}

// The vector x of rows·x = sums.
function solved([p, q, r], sums) {
  const turned = [cross(q, r), cross(r, p), cross(p, q)], volume = dot(p, turned[0]);
  return [0, 1, 2].map((axis) => dot(sums, turned.map((each) => each[axis])) / volume);
}

// The middle of the points that count, and one over their deviation along a unit direction of the plane with a normal.
function supportOf(points, weight, normal) {
  const middle = [0, 0, 0], rows = listOf(3, () => [0, 0, 0]), total = weight.reduce((sum, each) => sum + each, 0);
  weight.forEach((each, at) => middle.forEach((_, axis) => { middle[axis] += (each * points[3 * at + axis]) / total; }));
  weight.forEach((each, at) => {
    const offset = middle.map((axis, place) => points[3 * at + place] - axis);
    offset.forEach((one, row) => offset.forEach((other, column) => { rows[row][column] += (each * one * other) / total; }));
  });
  // The points have no spread along the normal, and any other one there leaves that in the plane as it is.
  const whole = rows[0][0] + rows[1][1] + rows[2][2];
  const spread = rows.map((row, at) => row.map((each, column) => each + whole * normal[at] * normal[column]));
  return { middle, inverseSpread: (direction) => Math.sqrt(dot(direction, solved(spread, direction))) };
}

// The plane with (nearly) the least sum of absolute misses, and then of least squares if what is far off it is another
// surface and left out: its normal, its distance, the points that hold it, and the median miss of all.
function fitted(points, leavesOutOthers) {
  if (points.length < 3 * FEWEST) return null;
  const weight = new Float64Array(points.length / 3).fill(1), misses = new Float64Array(weight.length);
  let plane = null;
  function fit() {
    plane = leastSquares(points, weight);
    for (let at = 0; at < weight.length; at++) {
      misses[at] = Math.abs(plane[0] * points[3 * at] + plane[1] * points[3 * at + 1] + plane[2] * points[3 * at + 2] - 1);
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    fit();
    misses.forEach((each, at) => { weight[at] = 1 / Math.max(each, LEAST_MISS); });
  }
  if (!leavesOutOthers) weight.fill(1);
  for (const ratio of leavesOutOthers ? TRIM_RATIOS : []) {
    const limit = Math.max(ratio * quantile(misses, 0.5), LEAST_MISS);
    misses.forEach((each, at) => { weight[at] = each <= limit ? 1 : 0; });
    fit();
  }
  if (!plane.every(Number.isFinite)) return null;
  const distance = 1 / Math.hypot(...plane), normal = plane.map((axis) => distance * axis);
  return { plane, normal, distance, support: supportOf(points, weight, normal), miss: quantile(misses, 0.5) };
}

// The relative difference from a plane that the medians of nine in ten cells of a grid over the points stay below, which
// is 0 of too few points: rilievo.measure.surface_planes.surface_bend. Places are rows and columns of the lattice.
function bendOf(points, places, plane) {
  const count = places.length, side = Math.min(BEND_CELLS, Math.floor(Math.sqrt(Math.floor(count / BEND_CELL_POINTS))));
  if (side < 2) return 0;
  const [rows, columns] = [0, 1].map((axis) => {
    const first = places.reduce((least, each) => Math.min(least, each[axis]), Infinity);
    const last = places.reduce((most, each) => Math.max(most, each[axis]), -Infinity);
    return places.map((each) => Math.floor(((each[axis] - first) * side) / (last - first + 1)));
  });
  const cells = listOf(side ** 2, () => []);
  places.forEach((_, at) => cells[rows[at] * side + columns[at]].push(dot(plane, points.slice(3 * at, 3 * at + 3)) - 1));
  const filled = cells.filter(({ length }) => length >= count / side ** 2 / 4);
  return quantile(filled.map((each) => Math.abs(quantile(each, 0.5))), BEND_QUANTILE);
}

// Planes of the lattice, inside of an outline and around a place (column, row); null of too few points.
function fits(depth, form) {
  const { rows, columns, step } = form, across = form.first_column, down = form.first_row, { ray } = lensOf(form);
  function among(ranges, leavesOutOthers = false) {
    const points = [], places = [];
    for (let row = 0; row < rows; row++) {
      const v = down + row * step;
      for (const [left, right] of ranges(v)) {
        const last = Math.min(columns - 1, Math.floor((right - across) / step));
        for (let column = Math.max(0, Math.ceil((left - across) / step)); column <= last; column++) {
          const z = depth[row * columns + column];
          if (!z) continue;
          points.push(...ray([across + column * step, v]).map((axis) => axis * z));
          places.push([row, column]);
        }
      }
    }
    const found = fitted(points, leavesOutOthers);
    return found && { ...found, bend: () => bendOf(points, places, found.plane) };
  }
  return {
    // Pixels as Pillow fills a polygon: its corners are cut to whole pixels, those on its sides count.
    inside: (corners) => among((v) => {
      const outline = corners.map((each) => each.map(Math.trunc)), met = outline.flatMap(([u1, v1], at) => {
        const [u2, v2] = outline[(at + 1) % outline.length];
        return (v1 <= v) === (v2 <= v) ? [] : [u1 + ((v - v1) / (v2 - v1)) * (u2 - u1)];
      }).sort((one, other) => one - other);
      const last = met.length ? [] : outline.filter((each) => each[1] === v).map(([u]) => u);
      if (last.length) return [[Math.min(...last), Math.max(...last)]];
      return met.flatMap((each, at) => (at % 2 ? [] : [[each - 0.5, met[at + 1] + 0.5]]));
    }),
    around: ([u, v]) => among((row) => {
      const radius = Math.max(2, PATCH * form.width), half = Math.sqrt(radius ** 2 - (row - v) ** 2);
      return half >= 0 ? [[u - half, u + half]] : [];
    }, true),
  };
}
