"use strict";
// Planes through parts of the surface, as rilievo.measure.quantities fits them.

const FEWEST = 12, ROUNDS = 10, PATCH = 0.04; // points, rounds, radius as a share of the width

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
  const [p, q, r] = rows, turned = [cross(q, r), cross(r, p), cross(p, q)], volume = dot(p, turned[0]);
  return [0, 1, 2].map((axis) => dot(sums, turned.map((each) => each[axis])) / volume);
}

// The plane with (nearly) the least sum of absolute misses, and the median of those.
function fitted(points) {
  if (points.length < 3 * FEWEST) return null;
  const weight = new Float64Array(points.length / 3).fill(1), misses = new Float64Array(weight.length);
  let plane = null;
  for (let round = 0; round < ROUNDS; round++) {
    plane = leastSquares(points, weight);
    for (let at = 0; at < weight.length; at++) {
      misses[at] = Math.abs(plane[0] * points[3 * at] + plane[1] * points[3 * at + 1] + plane[2] * points[3 * at + 2] - 1);
      weight[at] = 1 / Math.max(misses[at], 1e-4);
    }
  }
  return plane.every(Number.isFinite) ? { plane, miss: quantile(misses, 0.5) } : null;
}

// Planes of the lattice, inside of an outline and around a place (column, row); null of too few points.
function fits(depth, form) {
  const { rows, columns, step } = form, across = form.first_column, down = form.first_row, { ray } = lensOf(form);
  function among(ranges) {
    const points = [];
    for (let row = 0; row < rows; row++) {
      const v = down + row * step;
      for (const [left, right] of ranges(v)) {
        const last = Math.min(columns - 1, Math.floor((right - across) / step));
        for (let column = Math.max(0, Math.ceil((left - across) / step)); column <= last; column++) {
          const z = depth[row * columns + column];
          if (z) points.push(...ray([across + column * step, v]).map((axis) => axis * z));
        }
      }
    }
    return fitted(points);
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
    }),
  };
}
