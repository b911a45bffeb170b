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

// Depth in which the points of a ramp have that of its near end, so that its edge is sharp.
function withoutRamps(z, flying, lattice) {
  const filled = z.slice();
  for (const at of flying) filled[at] = Infinity;
  for (let left = flying; left.length;) {
    const found = new Map();
    // Downhill only: the near end of a ramp, never the far one.
    steps(left, lattice, (at, to) => {
      if (filled[to] < Infinity && z[to] < z[at]) found.set(at, Math.min(found.get(at) ?? Infinity, filled[to]));
    });
    if (!found.size) break;
    for (const [at, value] of found) filled[at] = value;
    left = left.filter((at) => filled[at] === Infinity);
  }
  return filled;
}

// The layer behind every tear of a lattice, at most `reach` points wide: a lattice, and the point
// from which each of its points takes its colour.
function behindEdges(lattice, cut, reach) {
  const { rows, columns, valid } = lattice, factor = Math.fround(1 + cut.jump), flying = flyingOf(lattice, cut);
  const given = lattice.z.map((each, at) => (valid[at] ? each : Infinity)), numbers = [...given.keys()];
  const z = withoutRamps(given, numbers.filter((at) => flying[at] && valid[at]), lattice);
  const layer = new Float32Array(z.length), seed = new Int32Array(z.length).fill(-1), grown = [];
  steps(numbers, lattice, (at, to) => { if (z[at] < Infinity && z[to] * factor < z[at]) [layer[at], seed[at]] = [z[at], at]; });
  let front = numbers.filter((at) => seed[at] >= 0);
  // One more point of the far side, since a smooth rim leaves a gap before its end.
  steps(front, lattice, (at, to) => { if (z[to] < z[at] * factor && z[at] < z[to] * factor) [layer[to], seed[to]] = [z[to], to]; });
  for (let round = 0; round < reach && front.length; round++) {
    const found = new Map();
    steps(front, lattice, (at, to) => {
      if (seed[to] >= 0 || !(z[to] * factor < layer[at])) return;
      const { sum, count, first } = found.get(to) ?? { sum: 0, count: 0, first: seed[at] };
      found.set(to, { sum: sum + 1 / layer[at], count: count + 1, first });
    });
    for (const [at, { sum, count, first }] of found) [layer[at], seed[at]] = [count / sum, first];
    front = [...found.keys()].sort((one, other) => one - other);
    grown.push(...front);
  }
  average(layer, grown, grown.map((at) => z[at] * factor), lattice);
  const there = Uint8Array.from(seed, (each) => (each >= 0 ? 1 : 0));
  const source = seed.map((from, at) => {
    if (from < 0) return at;
    const row = 2 * Math.floor(from / columns) - Math.floor(at / columns), column = 2 * (from % columns) - (at % columns);
    if (row < 0 || row >= rows || column < 0 || column >= columns) return from;
    // Not what is nearer, nor what is another thing behind.
    const to = row * columns + column;
    return z[to] * factor > layer[at] && z[to] < layer[at] * factor ? to : from;
  });
  return { lattice: { ...lattice, normals: null, z: layer.map((each, at) => (there[at] ? each : 1)), valid: there }, source };
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
