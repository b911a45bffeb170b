// Bands in which depth melts from a near to a far surface are made one step: rilievo.geometry.surfaces.ramps, which
// explains it.

import { edgesAlong, quantile } from "relief";

// Least step of 1/z at an edge, times the median depth.
const MIN_EDGE_STEP = 0.02;
// Largest width of a band, as a share of the diagonal.
const MAX_BAND_WIDTH = 0.04;
// Most edges, as a share of points, so that foliage is no confetti.
const MAX_EDGE_SHARE = 0.03;
// Least step between neighbours in a band, as a share of an edge's step.
const MIN_BAND_STEP = 0.25;
// Least slope of 1/z beyond the near end of a band, as a share of its own, that makes it a wall.
const MIN_WALL_SLOPE = 0.6;
// Points from a point of a band to its farthest end.
const MAX_BAND_POINTS = 64;
// Just less than 1, so that steps that are equal to a limit are above it.
const JUST_BELOW = 1 - 1e-7;

/**
 * Lay the bands of a lattice onto their closer ends. `edge` is the least step of 1/z that is an edge; where edges are
 * many, only the largest steps are.
 * @param {any} lattice
 * @returns {{lattice: any, edge: number}}
 */
export function sharpenEdges(lattice) {
  const validDepth = lattice.z.filter((_, point) => lattice.valid[point]);
  if (!validDepth.length) return { lattice, edge: Infinity };

  const minStep = MIN_EDGE_STEP / quantile(validDepth, 0.5);
  const sharp = collapseBands(lattice, minStep);
  const steps = [];
  for (const offset of [1, lattice.columns]) {
    for (const rise of edgesAlong(sharp, offset, minStep)) if (rise) steps.push(Math.abs(rise));
  }
  const maxEdges = Math.floor(MAX_EDGE_SHARE * lattice.z.length);
  if (steps.length <= maxEdges) return { lattice: sharp, edge: minStep };
  steps.sort((a, b) => b - a);
  return { lattice: sharp, edge: steps[maxEdges] * JUST_BELOW };
}

// A lattice whose points in bands lie on the closer end of their band.
function collapseBands(lattice, minStep) {
  const { z, rows, columns } = lattice;
  const { nextNearer, nextFarther, starts } = steepestWays(lattice, minStep);
  const maxLength = MAX_BAND_WIDTH * Math.hypot(rows, columns);
  const depth = z.slice();
  for (const point of starts) {
    const near = walk(point, nextNearer);
    const far = walk(point, nextFarther);
    const down = Math.floor(near / columns) - Math.floor(far / columns);
    const right = (near % columns) - (far % columns);
    const step = 1 / z[near] - 1 / z[far];
    if (!(step > minStep) || Math.hypot(down, right) > maxLength) continue;
    if (isWall(lattice, near, down, right, step)) continue;

    // Beside the sky or another hole there is no far surface.
    const isCloserToNear = isBesideHole(lattice, far) || z[point] / z[near] <= z[far] / z[point];
    depth[point] = isCloserToNear ? z[near] : z[far];
  }
  return { ...lattice, z: depth };
}

// From each point the neighbour that is nearer by the largest step, and that which is farther by the largest step; the
// point itself where there is none. `starts` are the points in bands.
function steepestWays(lattice, minStep) {
  const { z, columns } = lattice;
  const nextNearer = Int32Array.from(z.keys());
  const nextFarther = Int32Array.from(z.keys());
  const mostNearer = new Float32Array(z.length);
  const mostFarther = new Float32Array(z.length);
  const starts = new Set();
  const addStep = (from, to, rise) => {
    starts.add(from);
    if (rise > mostNearer[from]) {
      mostNearer[from] = rise;
      nextNearer[from] = to;
    }
    if (-rise > mostFarther[from]) {
      mostFarther[from] = -rise;
      nextFarther[from] = to;
    }
  };

  for (const offset of [1, columns]) {
    edgesAlong(lattice, offset, MIN_BAND_STEP * minStep).forEach((rise, point) => {
      if (!rise) return;
      addStep(point, point + offset, rise);
      addStep(point + offset, point, -rise);
    });
  }
  return { nextNearer, nextFarther, starts };
}

// The end of the way from a point.
function walk(point, next) {
  let end = point;
  for (let count = 0; count < MAX_BAND_POINTS && next[end] !== end; count++) end = next[end];
  return end;
}

// Whether a band is a wall. On a plane 1/z is linear, so a wall goes on beyond the near end as it came there. The band
// extends by `down` and `right` from its far to its near end, over which 1/z rises by `step`.
function isWall({ z, valid, rows, columns }, near, down, right, step) {
  const halfDown = halfAwayFromZero(down);
  const halfRight = halfAwayFromZero(right);
  const row = Math.floor(near / columns) + halfDown;
  const column = (near % columns) + halfRight;
  const isInside = row >= 0 && row < rows && column >= 0 && column < columns;
  const beyond = isInside ? row * columns + column : near;
  const rise = valid[beyond] ? 1 / z[beyond] - 1 / z[near] : 0;
  const halfLength = Math.max(Math.hypot(halfDown, halfRight), 1);
  return rise >= (MIN_WALL_SLOPE * step * halfLength) / Math.max(Math.hypot(down, right), 1);
}

const halfAwayFromZero = (length) => Math.sign(length) * Math.ceil(Math.abs(length) / 2);

function isBesideHole({ valid, columns }, point) {
  const hasLeft = point % columns > 0;
  const hasRight = (point + 1) % columns > 0;
  // Beyond the first and the last row there is no value, which is not 0.
  return (hasLeft && valid[point - 1] === 0) || (hasRight && valid[point + 1] === 0)
    || valid[point - columns] === 0 || valid[point + columns] === 0;
}
