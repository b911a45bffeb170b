"use strict";
// Triangles where a surface is torn, and behind its edges: rilievo.geometry.surfaces.fill, which explains it.

const COARSE = 6;

// The points, which of them are `grown` behind the surface, the point from which each takes its colour, and the
// triangles. `edge` is the least step of 1/z behind which far surfaces go on.
function fillOf(lattice, faces, edge, most) {
  const { rows, columns } = lattice, layer = behindEdges(lattice, edge, most - COARSE), points = layer?.points ?? lattice;
  const lines = [rows, columns].map((count) => [...listOf(Math.ceil((count - 1) / COARSE), (each) => COARSE * each), count - 1]);
  const index = [], covered = new Uint8Array(faces.length), source = Int32Array.from(lattice.z.keys()), { z, valid } = points;
  const draw = ([a, b, c, d]) => {
    const falling = valid[a] && valid[d] && (Math.abs(z[a] - z[d]) <= Math.abs(z[b] - z[c]) || !(valid[b] && valid[c]));
    for (const each of [[a, c, falling ? d : b], [b, falling ? a : c, d]]) if (each.every((at) => valid[at])) index.push(...each);
  };
  // The last row and column belong to the blocks before them.
  const blocks = ([ys, xs], act) => ys.slice(1).forEach((bottom, i) => xs.slice(1).forEach((right, j) => act(ys[i], bottom, xs[j], right)));
  if (layer) blocks(lines, (top, bottom, left, right) => {
    let some = false, whole = true;
    for (let row = top; row < bottom + (bottom === rows - 1); row++) {
      for (let at = row * columns + left; at < row * columns + right + (right === columns - 1); at++) {
        some ||= layer.reached[at];
        whole &&= valid[at];
      }
    }
    if (!some || !whole) return;
    draw([top, bottom].flatMap((row) => [row * columns + left, row * columns + right]));
    for (let row = top; row < bottom; row++) covered.fill(1, row * (columns - 1) + left, row * (columns - 1) + right);
  });
  faces.forEach((bits, cell) => {
    if ((bits & 6) !== 6 && !covered[cell]) draw(cornersOf(cell, columns));
  });
  if (layer) for (const at of index) source[at] = layer.source(at);
  return { lattice: points, grown: layer?.grown ?? new Uint8Array(z.length), source, index };
}
