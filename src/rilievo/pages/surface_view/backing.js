"use strict";
// A second layer, which continues the far side of an edge behind the near side:
// rilievo.geometry.surfaces.backing, which explains it.

const ROUNDS_OF_LAYER = 16;

// The numbers of a point's neighbours, one direction after the other, as `act(source, target)`.
function steps(places, { rows, columns }, act) {
  const ways = [[-columns, (at) => at >= columns], [columns, (at) => at < (rows - 1) * columns],
    [-1, (at) => at % columns > 0], [1, (at) => at % columns < columns - 1]];
  for (const [step, isInside] of ways) for (const at of places) if (isInside(at)) act(at, at + step);
}

// The layer behind every tear of a lattice that is a step of 1/z by `edge` at least, at most `reach` points
// wide and no farther than what moves by `pull` points per unit of 1/z shows: its depth, the points that are
// `grown`, and the point from which each takes its colour.
function behindEdges(lattice, { jump, edge }, reach, pull) {
  const { rows, columns, valid } = lattice, factor = Math.fround(1 + jump);
  const z = lattice.z.map((each, at) => (valid[at] ? each : Infinity)), numbers = [...z.keys()];
  const layer = new Float32Array(z.length), seed = new Int32Array(z.length).fill(-1), grown = [];
  steps(numbers, lattice, (at, to) => {
    if (z[at] < Infinity && z[to] * factor < z[at] && 1 / z[to] - 1 / z[at] > edge) [layer[at], seed[at]] = [z[at], at];
  });
  let front = numbers.filter((at) => seed[at] >= 0);
  // One more point of the far side, since a smooth rim leaves a gap before its end.
  steps(front, lattice, (at, to) => { if (z[to] < z[at] * factor && z[at] < z[to] * factor && seed[to] < 0) [layer[to], seed[to]] = [z[to], to]; });
  for (let away = 0; away < reach && front.length; away++) {
    const found = new Map();
    steps(front, lattice, (at, to) => {
      if (seed[to] >= 0 || !(z[to] * factor < layer[at]) || away > pull * (1 / z[to] - 1 / layer[at])) return;
      const { sum, count, first } = found.get(to) ?? { sum: 0, count: 0, first: seed[at] };
      found.set(to, { sum: sum + 1 / layer[at], count: count + 1, first });
    });
    for (const [at, { sum, count, first }] of found) [layer[at], seed[at]] = [count / sum, first];
    front = [...found.keys()].sort((one, other) => one - other);
    grown.push(...front);
  }
  average(layer, grown, grown.map((at) => z[at] * factor), lattice);
  const source = Int32Array.from(grown, (at) => {
    const from = seed[at], row = 2 * Math.floor(from / columns) - Math.floor(at / columns), column = 2 * (from % columns) - (at % columns);
    if (row < 0 || row >= rows || column < 0 || column >= columns) return from;
    // Not what is nearer, nor what is another thing behind.
    const to = row * columns + column;
    return z[to] * factor > layer[at] && z[to] < layer[at] * factor ? to : from;
  });
  return { layer, grown, source };
}

// Smooths the layer where it was grown, behind what is nearest; its far ends stay.
function average(layer, grown, nearest, lattice) {
  const sums = new Float64Array(layer.length), counts = new Uint8Array(layer.length);
  for (let round = 0; round < ROUNDS_OF_LAYER && grown.length; round++) {
    for (const at of grown) sums[at] = counts[at] = 0;
    steps(grown, lattice, (at, to) => { if (layer[to] > 0) { sums[at] += 1 / layer[to]; counts[at]++; } });
    grown.forEach((at, each) => { layer[at] = Math.max(counts[at] / sums[at], nearest[each]); });
  }
}
