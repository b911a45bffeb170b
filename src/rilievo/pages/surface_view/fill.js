"use strict";
// Triangles where a surface is torn, and behind its edges: rilievo.geometry.surfaces.fill, which explains it.

// Triangles between points of the surface in its tears, and those of the `layer` behind it, whose points are on the same
// rays: { tears, behind, layer }. `edge` is the least step of 1/z behind which far surfaces go on, at most `most` points.
function fillOf(lattice, faces, edge, most) {
  const { rows, columns, valid } = lattice, cells = (rows - 1) * (columns - 1);
  const layer = behindEdges(lattice, edge, most - COARSE), behind = [], tears = [];
  const torn = faces.map((bits) => ((bits & 6) === 6 ? 0 : 1)), covered = new Uint8Array(cells);
  if (layer) coarseBlocks(lattice, layer.seen, (corners, inner) => {
    behind.push(...twoTriangles(corners, layer.z, valid));
    for (const cell of inner) covered[cell] = 1;
  });

  // Some cells, and all cells that share a corner with one of them.
  const grow = (chosen) => {
    const isCorner = new Uint8Array(lattice.z.length);
    for (let cell = 0; cell < cells; cell++) if (chosen[cell]) for (const at of cornersOf(cell, columns)) isCorner[at] = 1;
    return listOf(cells, (cell) => cornersOf(cell, columns).some((at) => isCorner[at]));
  };
  // The layer shares no point with the surface, so it also covers the torn cells beside its coarse cells.
  const besideCoarse = grow(covered), ofLayer = listOf(cells, (cell) => covered[cell] || (torn[cell] && besideCoarse[cell]));
  const besideLayer = grow(ofLayer), besideTorn = grow(torn);
  for (let cell = 0; cell < cells; cell++) {
    if (covered[cell]) continue;
    const corners = cornersOf(cell, columns);
    // The smooth rim of a near surface may end half a cell beside the torn cells.
    if (layer && besideLayer[cell] && besideTorn[cell]) behind.push(...twoTriangles(corners, layer.z, valid));
    if (torn[cell] && !ofLayer[cell]) tears.push(...twoTriangles(corners, lattice.z, valid));
  }
  return { tears, behind, layer };
}

// Both triangles of four corners, without those that have an invalid one.
function twoTriangles([a, b, c, d], z, valid) {
  const falling = valid[a] && valid[d] && (Math.abs(z[a] - z[d]) <= Math.abs(z[b] - z[c]) || !(valid[b] && valid[c]));
  return [[a, c, falling ? d : b], [b, falling ? a : c, d]].filter((three) => three.every((at) => valid[at])).flat();
}

// Calls `act` with the corners and the cells of each coarse block that is seen from beside and valid throughout.
function coarseBlocks({ rows, columns, valid }, seen, act) {
  const [tops, lefts] = [rows, columns].map((count) => [...listOf(Math.ceil((count - 1) / COARSE), (each) => COARSE * each), count - 1]);
  tops.slice(1).forEach((bottom, i) => lefts.slice(1).forEach((right, j) => {
    const [top, left] = [tops[i], lefts[j]], inner = [];
    let some = false, whole = true;
    // The last row and column belong to the blocks before them.
    for (let row = top; row < bottom + (bottom === rows - 1); row++) {
      for (let column = left; column < right + (right === columns - 1); column++) {
        const at = row * columns + column;
        some ||= Boolean(seen[at]);
        whole &&= Boolean(valid[at]);
        if (row < bottom && column < right) inner.push(row * (columns - 1) + column);
      }
    }
    const corners = [top, bottom].flatMap((row) => [row * columns + left, row * columns + right]);
    if (some && whole && corners.every((at) => valid[at])) act(corners, inner);
  }));
}
