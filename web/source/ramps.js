// Ramps between near and far, in place of which an edge is one step: rilievo.geometry.surfaces.ramps, which
// explains it.

import { quantile, steps } from "relief";

const PULL = 0.04, MOST = 0.003, ROUNDS = 16;

// Of each point the steepest rise of 1/z to a neighbour, or the steepest fall to one, whichever is less.
function steepness({ z, valid, rows, columns }) {
  const rises = new Float32Array(z.length), falls = new Float32Array(z.length);
  steps([...z.keys()], { rows, columns }, (at, to) => {
    if (!valid[at] || !valid[to]) return;
    const rise = 1 / z[to] - 1 / z[at];
    rises[at] = Math.max(rises[at], rise);
    falls[at] = Math.max(falls[at], -rise);
  });
  return rises.map((rise, at) => Math.min(rise, falls[at]));
}

// The least step of 1/z between neighbours that is an edge, not a slope.
export function edgeStep(lattice) {
  const there = (_, at) => lattice.valid[at], z = lattice.z.filter(there);
  return z.length ? Math.max(PULL / quantile(z, 0.5), quantile(steepness(lattice).filter(there), 1 - MOST)) : Infinity;
}

// 1/z at the near and the far end of the ramp at each point, over steps of `least`.
function endsOf(lattice, inverse, steep, least) {
  const places = [...steep.keys()].filter((at) => steep[at] > least), pairs = [[], []];
  steps(places, lattice, (at, to) => {
    const rise = inverse[to] - inverse[at];
    if (rise > least) pairs[0].push([at, to]);
    if (rise < -least) pairs[1].push([at, to]);
  });
  return pairs.map((chosen, isFar) => {
    const ends = inverse.slice();
    for (let round = 0; round < ROUNDS; round++) {
      const next = chosen.map(([, to]) => ends[to]);
      chosen.forEach(([at], each) => { if (isFar ? next[each] < ends[at] : next[each] > ends[at]) ends[at] = next[each]; });
    }
    return ends;
  });
}

// A lattice whose points between the ends of ramps, which are steps of `least`, lie on the closer end.
export function withoutRamps(lattice, least) {
  const { z, valid } = lattice, inverse = z.map((each, at) => (valid[at] ? 1 / each : NaN)), steep = steepness(lattice);
  const [near, far] = endsOf(lattice, inverse, steep, least), [higher, lower] = endsOf(lattice, inverse, steep, least / 2);
  return { ...lattice, z: z.map((each, at) => {
    // A slope goes on beyond its steepest part.
    if (!(steep[at] > least) || higher[at] - lower[at] > 2 * (near[at] - far[at])) return each;
    return 1 / (near[at] - inverse[at] <= inverse[at] - far[at] ? near[at] : far[at]);
  }) };
}
