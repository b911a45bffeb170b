"use strict";
// Triangles where a surface is torn, and behind its edges: rilievo.geometry.surfaces.fill, which explains it.

const COARSE = 6;

// A lattice with more points on each side, as deep as those of the border.
function withMargin(lattice, margin) {
  const [rows, columns] = [lattice.rows, lattice.columns].map((count) => count + 2 * margin), place = (at, last) => clamp(0, at - margin, last);
  const from = listOf(rows * columns, (at) => place(Math.floor(at / columns), lattice.rows - 1) * lattice.columns + place(at % columns, lattice.columns - 1));
  const wide = (field) => field.constructor.from(from, (at) => field[at]);
  return { ...lattice, rows, columns, firstRow: lattice.firstRow - margin * lattice.step, firstColumn: lattice.firstColumn - margin * lattice.step,
    z: wide(lattice.z), valid: wide(lattice.valid), normals: null, hollow: null };
}

// The points, which of them are `grown` behind the surface, the point from which each takes its colour, the
// triangles, and the number there of each point of the surface. `edge` is the least step of 1/z behind which far
// surfaces go on.
function fillOf(lattice, faces, edge, most) {
  const own = behindEdges(lattice, edge, most - COARSE), margin = own && !isInside(lattice.camera) ? COARSE * Math.ceil(own.margin / COARSE) : 0;
  const layer = margin ? behindEdges(withMargin(lattice, margin), edge, most - COARSE) : own, points = layer?.points ?? lattice, { rows, columns } = points;
  const wide = (at) => (Math.floor(at / lattice.columns) + margin) * columns + (at % lattice.columns) + margin;
  const lines = [rows, columns].map((count) => [...listOf(Math.ceil((count - 1) / COARSE), (each) => COARSE * each), count - 1]);
  const index = [], { z, valid } = points, covered = new Uint8Array(z.length), source = Int32Array.from(z.keys());
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
    for (let row = top; row < bottom; row++) covered.fill(1, row * columns + left, row * columns + right);
  });
  faces.forEach((bits, cell) => {
    const corners = cornersOf(cell, lattice.columns).map(wide);
    if ((bits & 6) !== 6 && !covered[corners[0]]) draw(corners);
  });
  // Beyond the border there are the colours of the border.
  if (layer) for (const at of index) {
    const [row, column] = [Math.floor(layer.source(at) / columns), layer.source(at) % columns];
    source[at] = clamp(margin, row, rows - 1 - margin) * columns + clamp(margin, column, columns - 1 - margin);
  }
  return { lattice: points, grown: layer?.grown ?? new Uint8Array(z.length), source, index, wide };
}
