"use strict";
// Triangles where a surface is torn, and behind its edges: rilievo.geometry.surfaces.fill, which explains it.

const UNCUT = { grazing: 0, jump: 1e9 }, FARTHEST = Math.sin(Math.PI / 9), COARSE = 4;

// The points, which of them are `grown` behind the surface, the point from which each takes its colour, the
// triangles, and all faces of the points. `edge` is the least step of 1/z behind which far surfaces go on.
function fillOf(lattice, faces, { jump, edge }, reach) {
  const { z, valid, camera, step } = lattice, used = new Uint8Array(z.length), grown = used.slice();
  const median = quantile(z.filter((_, at) => valid[at]), 0.5);
  const behind = behindEdges(lattice, { jump, edge }, reach, (camera.fx / step) * FARTHEST * median);
  const points = { ...lattice, normals: null, z: z.slice() }, source = Int32Array.from(z.keys());
  for (const at of triangles(faces, lattice)) used[at] = 1;
  // What no triangle of the surface holds is seen in the fill, at its own depth.
  behind.grown.forEach((at, each) => {
    if (used[at]) [grown[at], points.z[at], source[at]] = [1, behind.layer[at], behind.source[each]];
  });
  const every = facesOf(points, UNCUT), large = largeOf(points, grown, 1 + jump), across = lattice.columns - 1;
  const isTorn = (cell) => (faces[cell] & 6) !== 6, sides = [-1, 0, 1];
  // A smooth rim may uncover a part of the cells beside a tear.
  const isBeside = (cell) => {
    const row = Math.floor(cell / across), column = cell % across, at = row * lattice.columns + column;
    return [0, 1, lattice.columns, lattice.columns + 1].some((each) => grown[at + each]) && !large.isDrawn(row, column)
      && sides.some((down) => sides.some((right) => row + down >= 0 && row + down < lattice.rows - 1 && column + right >= 0
        && column + right < across && isTorn(cell + down * across + right)));
  };
  const drawn = every.map((bits, cell) => (isTorn(cell) || isBeside(cell) ? bits : 0));
  return { lattice: points, grown, source, every, index: [...triangles(drawn, points), ...large.index] };
}

// Large triangles over all points that are behind the surface, and whether they cover a cell. None has a corner
// that is nearer, by more than the factor, than what it shows there.
function largeOf(points, grown, factor) {
  const { rows, columns, z, valid, step } = points, down = Math.ceil(rows / COARSE), across = Math.ceil(columns / COARSE);
  const place = (at) => COARSE * (Math.floor(at / across) * columns + (at % across));
  const number = Array.from({ length: down * across }, (_, at) => place(at));
  const small = { ...points, rows: down, columns: across, step: COARSE * step, z: Float32Array.from(number, (at) => z[at]),
    valid: Uint8Array.from(number, (at) => valid[at]) };
  if (down < 2 || across < 2) return { index: [], isDrawn: () => false };
  const nearest = (cell) => {
    const from = place(Math.floor(cell / (across - 1)) * across + (cell % (across - 1)));
    let least = Infinity;
    for (let each = 0; each < COARSE * COARSE; each++) {
      const at = from + Math.floor(each / COARSE) * columns + (each % COARSE);
      if (grown[at]) least = Math.min(least, z[at]);
    }
    return least;
  };
  const drawn = facesOf(small, UNCUT).map((bits, cell) => {
    const at = Math.floor(cell / (across - 1)) * across + (cell % (across - 1));
    return Math.min(...[0, 1, across, across + 1].map((each) => small.z[at + each])) * factor >= nearest(cell) ? bits | 8 : 0;
  });
  return { index: [...triangles(drawn, small)].map(place), isDrawn(row, column) {
    const [y, x] = [row, column].map((each) => Math.floor(each / COARSE));
    return y < down - 1 && x < across - 1 && Boolean(drawn[y * (across - 1) + x]);
  } };
}
