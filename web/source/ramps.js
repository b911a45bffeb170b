// Bands in which depth melts from near to far, in place of which an edge is one step:
// rilievo.geometry.surfaces.ramps, which explains it.

import { edgesAlong, quantile } from "relief";

const PULL = 0.02, WIDEST = 0.04, MOST = 0.03, SLOPE = 0.25, GOES_ON = 0.6, FARTHEST = 64;

// A lattice whose points between the ends of bands, which are steps of 1/z by `least`, lie on the closer end.
function withoutBands(lattice, least) {
  const { z, valid, rows, columns } = lattice, ends = [0, 1].map(() => Int32Array.from(z.keys())), most = ends.map(() => new Float32Array(z.length));
  const begins = new Set();
  for (const pitch of [1, columns]) {
    edgesAlong(lattice, pitch, SLOPE * least).forEach((rise, at) => {
      if (!rise) return;
      for (const [from, to, step] of [[at, at + pitch, rise], [at + pitch, at, -rise]]) {
        begins.add(from);
        [step, -step].forEach((height, side) => { if (height > most[side][from]) [most[side][from], ends[side][from]] = [height, to]; });
      }
    });
  }
  const far = (at, next) => {
    for (let each = 0; each < FARTHEST && next[at] !== at; each++) at = next[at];
    return at;
  };
  // Beside the sky or another hole there is no far surface.
  const isOpen = (at) => [[-1, at % columns], [1, (at + 1) % columns], [-columns, 1], [columns, 1]].some(([way, inside]) => inside && valid[at + way] === 0);
  const depth = z.slice(), widest = WIDEST * Math.hypot(rows, columns), place = (at) => [Math.floor(at / columns), at % columns];
  for (const at of begins) {
    const [near, away] = ends.map((next) => far(at, next)), [[row, column], [fromRow, fromColumn]] = [near, away].map(place);
    const way = [row - fromRow, column - fromColumn], half = way.map((each) => Math.sign(each) * Math.ceil(Math.abs(each) / 2)), step = 1 / z[near] - 1 / z[away];
    if (!(step > least) || Math.hypot(...way) > widest) continue;
    // On a plane 1/z is linear: a wall goes on beyond the near end as it came there.
    const [y, x] = [row + half[0], column + half[1]], beyond = y >= 0 && y < rows && x >= 0 && x < columns ? y * columns + x : near;
    const rise = valid[beyond] ? 1 / z[beyond] - 1 / z[near] : 0;
    if (rise >= (GOES_ON * step * Math.max(Math.hypot(...half), 1)) / Math.max(Math.hypot(...way), 1)) continue;
    depth[at] = isOpen(away) || z[at] / z[near] <= z[away] / z[at] ? z[near] : z[away];
  }
  return { ...lattice, z: depth };
}

// A lattice whose edges are steps, and the least step of 1/z that is one.
export function sharpened(lattice) {
  const there = lattice.z.filter((_, at) => lattice.valid[at]);
  if (!there.length) return { lattice, edge: Infinity };
  const edge = PULL / quantile(there, 0.5), sharp = withoutBands(lattice, edge), most = Math.floor(MOST * lattice.z.length);
  const steps = [1, lattice.columns].flatMap((pitch) => [...edgesAlong(sharp, pitch, edge)].filter(Boolean).map(Math.abs)).sort((a, b) => b - a);
  // Equal steps are edges together.
  return { lattice: sharp, edge: steps.length > most ? steps[most] * (1 - 1e-7) : edge };
}
