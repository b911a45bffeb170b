"use strict";
// Smooth contours in place of the staircase of pixels: rilievo.geometry.surfaces.contour, which explains it.

const ROUNDS_OF_RIMS = 12, REACH_OF_RIMS = 0.45, LEAST_SHARE = 0.2, BEND = 1 / 9;

// The byte of four neighbours by their row and column, 0 outside; whether a byte has the triangle at its upper, or lower, side.
const cellsOf = (faces, { rows, columns }) => (row, column) =>
  (row >= 0 && column >= 0 && row < rows - 1 && column < columns - 1 ? faces[row * (columns - 1) + column] : 0);
const hasUpper = (bits) => Boolean(bits & (bits & 1 ? 4 : 2)), hasLower = (bits) => Boolean(bits & (bits & 1 ? 2 : 4));

// Calls `join(a, b)` for the two points of every side that belongs to one triangle only.
function rimsOf(faces, lattice, join) {
  const { rows, columns } = lattice, cell = cellsOf(faces, lattice);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      const here = cell(row, column), first = Boolean(here & 2), second = Boolean(here & 4);
      if (column < columns - 1 && hasUpper(here) !== hasLower(cell(row - 1, column))) join(at, at + 1);
      if (row < rows - 1 && first !== Boolean(cell(row, column - 1) & 4)) join(at, at + columns);
      if (first === second) continue;
      if (here & 1) join(at, at + columns + 1);
      else join(at + 1, at + columns);
    }
  }
}

// The points of rims that move: their numbers, and of each how far across and down [steps of the
// lattice] and its depth there. `index` are the triangles that are kept; none of them turns over.
function contoured(lattice, faces, index, cut) {
  const { rows, columns, z } = lattice, number = new Int32Array(z.length).fill(-1), rim = [], beside = [];
  const one = (at) => {
    if (number[at] < 0) { number[at] = rim.length; rim.push(at); beside.push([]); }
    return beside[number[at]];
  };
  rimsOf(faces, lattice, (a, b) => { one(a).push(b); one(b).push(a); });
  const isInner = (at) => at % columns > 0 && at % columns < columns - 1 && at >= columns && at < (rows - 1) * columns;
  const movable = rim.map((at, each) => beside[each].length === 2 && isInner(at));
  let moved = rim.map(() => [0, 0]);
  const from = (at, to) => [(to % columns) - (at % columns), Math.floor(to / columns) - Math.floor(at / columns)];
  for (let round = 0; round < ROUNDS_OF_RIMS; round++) {
    moved = moved.map((own, each) => {
      if (!movable[each]) return own;
      const ends = beside[each].map((to) => from(rim[each], to).map((value, axis) => value + moved[number[to]][axis]));
      const step = own.map((value, axis) => ((ends[0][axis] + ends[1][axis]) / 2 + value) / 2);
      const far = Math.max(Math.hypot(...step) / REACH_OF_RIMS, 1);
      return step.map((value) => value / far);
    });
  }
  const touched = [];
  for (let at = 0; at < index.length; at += 3) {
    const a = index[at], b = index[at + 1], c = index[at + 2];
    if (number[a] >= 0 || number[b] >= 0 || number[c] >= 0) touched.push([a, b, c]);
  }
  keepSides(touched, columns, number, moved);
  const depths = onPlanes(lattice, touched, number, rim, moved, cut);
  return rim.map((at, each) => ({ at, across: moved[each][0], down: moved[each][1], z: depths[each] }))
    .filter(({ across, down }) => across || down);
}

// Takes back what would turn a triangle over, or make it a sliver.
function keepSides(triangles, columns, number, moved) {
  const area = (corners, isMoved) => {
    const [a, b, c] = corners.map((at) => [at % columns, Math.floor(at / columns)]
      .map((value, axis) => value + (isMoved && number[at] >= 0 ? moved[number[at]][axis] : 0)));
    return (c[0] - a[0]) * (b[1] - a[1]) - (c[1] - a[1]) * (b[0] - a[0]);
  };
  const before = triangles.map((corners) => area(corners, false));
  for (;;) {
    const narrow = triangles.filter((corners, at) => area(corners, true) < LEAST_SHARE * before[at]);
    for (const at of narrow.flat()) if (number[at] >= 0) moved[number[at]] = [0, 0];
    if (!narrow.length) return;
  }
}

// Depths of the points of rims on their new rays, in the planes of their own triangles.
function onPlanes(lattice, triangles, number, rim, moved, { jump }) {
  const normals = rim.map(() => [0, 0, 0]);
  for (const corners of triangles) {
    const [a, b, c] = corners.map((at) => pointOf(lattice, at)), normal = cross(less(b, a), less(c, a));
    for (const at of corners) if (number[at] >= 0) for (let axis = 0; axis < 3; axis++) normals[number[at]][axis] += normal[axis];
  }
  const bent = (value, most) => clamp(1 - most, value, 1 + most), bend = BEND * jump;
  const factors = rim.map((at, each) => {
    const [u, v] = pixelOf(lattice, at), [right, down] = moved[each].map((value) => value * lattice.step);
    const facing = dot(normals[each], onRay(lattice.camera, [u, v], 1));
    const turned = dot(normals[each], onRay(lattice.camera, [u + right, v + down], 1));
    return bent(turned < 0 ? facing / turned : 1, jump / 4);
  });
  const depthOf = (at) => lattice.z[at] * (number[at] < 0 ? 1 : factors[number[at]]);
  const steep = triangles.filter((corners) => {
    const depths = corners.map(depthOf);
    return Math.max(...depths) > (1 + jump) * (1 + 2 * bend) * Math.min(...depths);
  });
  for (const at of steep.flat()) if (number[at] >= 0) factors[number[at]] = bent(factors[number[at]], bend);
  return rim.map(depthOf);
}
