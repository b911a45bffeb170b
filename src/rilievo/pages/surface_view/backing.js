"use strict";
// A second layer of a surface, which continues far surfaces behind near ones:
// rilievo.geometry.surfaces.backing and rilievo.geometry.surfaces.extension, which explain it.

const VIEW_SINE = Math.SQRT1_2, DOWN = 16, TOLERANCE = 1.05, MIN_REACH = 2, CLEARANCE = 4, MIN_RATIO = 1.01, COARSE = 6, SMOOTHING_ROUNDS = 4;

// The values at known points, continued smoothly over the others.
function extendSmoothly(values, known, { rows, columns }) {
  if (known.every(Boolean) || known.length === 1) return values.map((value, at) => (known[at] ? value : 0));
  const coarse = { rows: Math.ceil(rows / 2), columns: Math.ceil(columns / 2) };
  const blockOf = (at) => (Math.floor(at / columns) >> 1) * coarse.columns + ((at % columns) >> 1);
  const [sum, count] = listOf(2, () => new Float32Array(coarse.rows * coarse.columns));
  values.forEach((value, at) => {
    if (!known[at]) return;
    sum[blockOf(at)] += value;
    count[blockOf(at)]++;
  });
  const means = extendSmoothly(sum.map((total, block) => total / Math.max(count[block], 1)), count, coarse);
  let extended = values.map((value, at) => (known[at] ? value : means[blockOf(at)]));
  for (let round = 0; round < SMOOTHING_ROUNDS; round++) extended = extended.map((value, at) => (known[at] ? value : meanOfNeighbours(extended, at, { rows, columns })));
  return extended;
}

// Mean of the four neighbours; those beyond the border are the points of the border.
function meanOfNeighbours(values, at, { rows, columns }) {
  const column = at % columns, own = values[at];
  const above = at >= columns ? values[at - columns] : own, below = at < (rows - 1) * columns ? values[at + columns] : own;
  const left = column > 0 ? values[at - 1] : own, right = column < columns - 1 ? values[at + 1] : own;
  return (above + below + left + right) / 4;
}

// The largest field below another that changes by at most a step from row to row, and across, in place of it.
function limitSlope(values, [down, across], { columns }) {
  const last = values.length - 1, lower = (at, from, step) => { values[at] = Math.min(values[at], values[from] + step); };
  for (let at = columns; at <= last; at++) lower(at, at - columns, down);
  for (let at = last - columns; at >= 0; at--) lower(at, at + columns, down);
  for (let at = 1; at <= last; at++) if (at % columns) lower(at, at - 1, across);
  for (let at = last - 1; at >= 0; at--) if ((at + 1) % columns) lower(at, at + 1, across);
  return values;
}

// The least 1/z up to half a coarse step above and below, and a whole one beside each point.
function farthestAround(values, { rows, columns }) {
  for (const [pitch, length, shifts] of [[columns, rows, [1, 2]], [1, columns, [1, 2, 3]]]) {
    for (const shift of shifts) {
      const before = values;
      values = before.map((value, at) => {
        const place = pitch === 1 ? at % columns : Math.floor(at / columns);
        const low = place >= shift ? before[at - shift * pitch] : value, high = place + shift < length ? before[at + shift * pitch] : value;
        return Math.min(value, low, high);
      });
    }
  }
  return values;
}

// The largest steps of 1/z at the edges of which each point is the near side, and the far side; 0 beside no edge.
function sidesOfEdges(lattice, edge) {
  const [near, far] = listOf(2, () => new Float32Array(lattice.z.length));
  const keep = (side, at, step) => { side[at] = Math.max(side[at], step); };
  for (const pitch of [1, lattice.columns]) {
    edgesAlong(lattice, pitch, edge).forEach((rise, at) => {
      if (!rise) return;
      keep(near, rise > 0 ? at + pitch : at, Math.abs(rise));
      keep(far, rise > 0 ? at : at + pitch, Math.abs(rise));
    });
  }
  return { near, far };
}

// 1/z of the far sides, continued smoothly, and nowhere nearer than the surface.
function sheetBehind(inverse, isFar, parallax, lattice) {
  const extended = extendSmoothly(inverse, isFar, lattice);
  const farthest = extended.map((value, at) => (lattice.valid[at] ? Math.min(value, inverse[at]) : value));
  return limitSlope(farthest, [DOWN / parallax, 1 / parallax], lattice);
}

// The layer behind every step of 1/z that is an edge, at most `reach` points wide: its depth, the points where it is
// `seen` from beside, and those with a `clear` colour of its own; null without an edge.
function behindEdges(lattice, edge, reach) {
  const { rows, columns, z, valid, camera, step } = lattice, { near, far } = sidesOfEdges(lattice, edge);
  if (!far.some(Boolean)) return null;
  const stepsTo = (side) => limitSlope(Float32Array.from(side, (rise) => (rise ? 0 : Infinity)), [1, 1], lattice);
  const toNear = stepsTo(near), toFar = stepsTo(far);
  const median = quantile(z.filter((_, at) => valid[at]), 0.5), parallax = (camera.fx / step) * VIEW_SINE * median;
  const inverse = Float32Array.from(z, (depth) => 1 / depth);

  let isFar = valid.map((flag, at) => (flag && toFar[at] <= toNear[at] ? 1 : 0));
  const first = sheetBehind(inverse, isFar, parallax, lattice);
  // What lies before the continued far sides is no far side.
  isFar = isFar.map((flag, at) => (flag && inverse[at] <= TOLERANCE * first[at] ? 1 : 0));
  const sheet = farthestAround(sheetBehind(inverse, isFar, parallax, lattice), lattice);

  const edgeReach = (rise) => Math.min(Math.SQRT2 * parallax * rise + MIN_REACH, Math.max(reach, MIN_REACH));
  const missing = limitSlope(Float32Array.from(near, (rise) => (rise ? -edgeReach(rise) : Infinity)), [1, 1], lattice);
  const isInner = (at) => {
    const row = Math.floor(at / columns), column = at % columns;
    return Math.min(row, column, rows - 1 - row, columns - 1 - column) >= CLEARANCE;
  };
  return {
    z: z.map((depth, at) => Math.max(1 / sheet[at], MIN_RATIO * depth)),
    seen: valid.map((flag, at) => (flag && ((!isFar[at] && missing[at] < 0) || toNear[at] <= MIN_REACH) ? 1 : 0)),
    clear: isFar.map((flag, at) => (flag && toNear[at] > CLEARANCE && isInner(at) ? 1 : 0)),
  };
}

// The colours of a layer, with a pixel for `COARSE` points down and across: { width, height, data }, four bytes a
// pixel. `colours` has four bytes for every point of the lattice.
function softPicture({ clear }, { rows, columns, valid }, colours) {
  const coarse = { rows: Math.ceil(rows / COARSE), columns: Math.ceil(columns / COARSE) }, length = coarse.rows * coarse.columns;
  const source = clear.some(Boolean) ? clear : valid, count = new Float32Array(length), data = new Uint8ClampedArray(4 * length).fill(255);
  const blockOf = (at) => Math.floor(Math.floor(at / columns) / COARSE) * coarse.columns + Math.floor((at % columns) / COARSE);
  source.forEach((flag, at) => { if (flag) count[blockOf(at)]++; });
  for (let channel = 0; channel < 3; channel++) {
    const sum = new Float32Array(length);
    source.forEach((flag, at) => { if (flag) sum[blockOf(at)] += colours[4 * at + channel]; });
    const soft = extendSmoothly(sum.map((total, block) => total / Math.max(count[block], 1)), count, coarse);
    soft.forEach((value, block) => { data[4 * block + channel] = Math.round(value); });
  }
  return { width: coarse.columns, height: coarse.rows, data };
}
