"use strict";
// Triangles where a surface is torn, and behind its edges: rilievo.geometry.surfaces.fill, which explains it.

const COARSE = 6, SEAM = 3 * COARSE, BEYOND = 1 / 8;

// A lattice with more points on each side, as deep as those of the border.
function withMargin(lattice, margin) {
  const [rows, columns] = [lattice.rows, lattice.columns].map((count) => count + 2 * margin), place = (at, last) => clamp(0, at - margin, last);
  const from = listOf(rows * columns, (at) => place(Math.floor(at / columns), lattice.rows - 1) * lattice.columns + place(at % columns, lattice.columns - 1));
  const wide = (field) => field.constructor.from(from, (at) => field[at]);
  return { ...lattice, rows, columns, firstRow: lattice.firstRow - margin * lattice.step, firstColumn: lattice.firstColumn - margin * lattice.step,
    z: wide(lattice.z), valid: wide(lattice.valid), normals: null, transparent: null };
}

// The points, which of them are `grown` behind the surface or where rims do not move, the point from which each takes its colour, the
// triangles, whose last corners are `copies` of a point with the source of another, and the number there of each point of the surface. `edge` is the least step of 1/z behind which far
// surfaces go on, and `beyond` the share of the width by which they go on beyond the border.
function fillOf(lattice, faces, edge, most, beyond = BEYOND) {
  const own = behindEdges(lattice, edge, most - COARSE), margin = own && !isInside(lattice.camera) ? COARSE * Math.ceil(Math.min(own.margin, beyond * lattice.columns) / COARSE) : 0;
  const layer = margin ? behindEdges(withMargin(lattice, margin), edge, most - COARSE, margin) : own, points = layer?.points ?? lattice, { rows, columns } = points;
  const wide = (at) => (Math.floor(at / lattice.columns) + margin) * columns + (at % lattice.columns) + margin;
  const lines = [rows, columns].map((count) => [...listOf(Math.ceil((count - 1) / COARSE), (each) => COARSE * each), count - 1]);
  const index = [], { z, valid } = points, source = Int32Array.from(z.keys());
  const [covered, open, rim] = listOf(3, () => new Uint8Array(z.length)), grown = new Uint8Array(layer?.grown ?? z.length);
  const draw = ([a, b, c, d]) => {
    const falling = valid[a] && valid[d] && (Math.abs(z[a] - z[d]) <= Math.abs(z[b] - z[c]) || !(valid[b] && valid[c]));
    for (const each of [[a, c, falling ? d : b], [b, falling ? a : c, d]]) if (each.every((at) => valid[at])) index.push(...each);
  };
  faces.forEach((bits, cell) => {
    if ((bits & 6) === 6) return;
    const corners = cornersOf(cell, lattice.columns).map(wide);
    open[corners[0]] = 1;
    for (const at of corners) rim[at] = 1;
  });
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
    const corners = [top, bottom].flatMap((row) => [row * columns + left, row * columns + right]);
    if (!some || !whole || !corners.every((at) => valid[at])) return;
    draw(corners);
    for (let row = top; row <= bottom; row++) {
      for (let at = row * columns + left; at <= row * columns + right; at++) grown[at] ||= rim[at];
      if (row < bottom) covered.fill(1, row * columns + left, row * columns + right);
    }
  });
  // A smooth rim lies up to half a cell inside of the cells that are torn.
  for (let cell = 0; cell < (rows - 1) * (columns - 1); cell++) {
    const corners = cornersOf(cell, columns), [at] = corners;
    if (!covered[at] && (open[at] || (corners.some((each) => rim[each]) && corners.some((each) => grown[each])))) draw(corners);
  }
  // Beyond the border there are the colours of the photograph, mirrored at it; where that is another surface, those of
  // the border.
  if (layer) for (const at of new Set(index)) {
    const from = layer.source(at), place = [Math.floor(from / columns), from % columns], last = [rows - 1 - margin, columns - 1 - margin];
    const near = place.map((each, axis) => clamp(margin, each, last[axis])), far = near.map((each, axis) => clamp(margin, 2 * each - place[axis], last[axis]));
    const [border, mirror] = [near, far].map(([row, column]) => row * columns + column);
    source[at] = valid[mirror] && Math.abs(Math.log(layer.surface[mirror] / layer.surface[border])) < ALIKE ? mirror : border;
  }
  // Between places of the far surface lies what stands before it: a triangle has the colour of one of them.
  const copies = [], split = (at) => [Math.floor(at / columns), at % columns];
  for (let first = 0; first < index.length; first += 3) {
    const three = index.slice(first, first + 3), places = three.map((at) => split(source[at]));
    if (!three.every((at) => grown[at]) || ![0, 1].some((axis) => Math.max(...places.map((place) => place[axis])) - Math.min(...places.map((place) => place[axis])) > SEAM)) continue;
    three.forEach((at, corner) => { index[first + corner] = z.length + copies.push([at, source[three[0]]]) - 1; });
  }
  return { lattice: points, grown, source, index, wide, copies };
}
