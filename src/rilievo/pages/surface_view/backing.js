"use strict";
// A second layer of a surface, which continues the far side of an edge behind the near side:
// rilievo.geometry.surfaces.backing, which explains it.

const LEANING = Math.tan(Math.PI / 18), FARTHEST = Math.sin(Math.PI / 9), RIM = 2, SAME = 1e-4, CLOSER = 16, CLEAR = 4, DEEP = 0.25, ALIKE = Math.log(1.25);

// The largest field below another that changes by at most a step from row to row, and across, in place of it, and
// with each value the number of its origin.
function lowered(values, origin, [down, across], { columns }) {
  const last = values.length - 1, sweep = (at, from, step) => {
    if (values[from] + step < values[at]) [values[at], origin[at]] = [values[from] + step, origin[from]];
  };
  for (let at = columns; at <= last; at++) sweep(at, at - columns, down);
  for (let at = last - columns; at >= 0; at--) sweep(at, at + columns, down);
  for (let at = 1; at <= last; at++) if (at % columns) sweep(at, at - 1, across);
  for (let at = last - 1; at >= 0; at--) if ((at + 1) % columns) sweep(at, at + 1, across);
  return values;
}

// The layer behind every step of 1/z that is an edge, at most `reach` points wide: its points, those that are
// `grown` behind the surface, those that are `reached` from beside, the `margin` of points beyond the border as far
// as which it is seen, and from where each takes its colour; null without an edge. The last `beyond` points on each
// side are beyond the photograph.
function behindEdges(lattice, edge, reach, beyond = 0) {
  const { rows, columns, z, valid, camera, step } = lattice, [far, near] = listOf(2, () => new Uint8Array(z.length));
  for (const pitch of [1, columns]) edgesAlong(lattice, pitch, edge).forEach((rise, at) => { if (rise) [far[rise > 0 ? at : at + pitch], near[rise > 0 ? at + pitch : at]] = [1, 1]; });
  if (!far.includes(1)) return null;
  const pivot = quantile(z.filter((_, at) => valid[at]), 0.5), bend = (pivot * FARTHEST) / LEANING;
  // Logarithms of depth beyond `bend`, and before it what is linear in 1/z.
  const levels = Float64Array.from(z, (each) => (each > bend ? Math.log(each / bend) : 1 - bend / each));
  const slopes = [camera.fy, camera.fx].map((focal) => Math.min(1, step / (focal * LEANING))), begin = Int32Array.from(far.keys()), closer = begin.slice();
  const farthest = (slope, origin) => lowered(levels.map((each, at) => (far[at] ? -each : Infinity)), origin, slopes.map((each) => slope * each), lattice);
  farthest(1, begin);
  farthest(CLOSER, closer);
  const layer = lowered(Float64Array.from(closer, (at) => -levels[at]), closer, slopes, lattice);
  // Steps from the closest of some points, and its number.
  const from = (points) => {
    const origin = Int32Array.from(points.keys());
    return [lowered(Float32Array.from(points, (flag) => (flag ? 0 : Infinity)), origin, [1, 1], lattice), origin];
  };
  const [away] = from(far), [apart] = from(near), isFar = (at) => valid[at] && apart[at] > CLEAR;
  const grown = valid.map((each, at) => (each && -layer[at] > levels[at] + SAME ? 1 : 0));
  const depth = z.map((each, at) => (grown[at] ? bend * (layer[at] < 0 ? Math.exp(-layer[at]) : 1 / (1 + layer[at])) : each)), pull = (camera.fx / step) * FARTHEST * pivot;
  const moved = depth.map((each, at) => pull * (1 / z[at] - 1 / each)), isBorder = (at) => at < columns || at >= (rows - 1) * columns || (at + 1) % columns < 2;
  const margin = Math.min(reach, moved.reduce((most, each, at) => (isBorder(at) ? Math.max(most, each) : most), 0));
  const reached = valid.map((flag, at) => (flag && away[at] <= Math.min(Math.SQRT2 * moved[at] + RIM, Math.max(reach, RIM)) ? 1 : 0));
  const split = (at) => [Math.floor(at / columns), at % columns], inner = ([row, column], rim) => Math.min(row, column, rows - 1 - row, columns - 1 - column) >= rim;
  const clear = valid.map((_, at) => (isFar(at) && inner(split(at), beyond + CLEAR) ? 1 : 0)), [, closest] = from(clear);
  return { points: { ...lattice, normals: null, z: depth }, grown, reached, margin, surface: z, source(at) {
    if (isFar(at) && !grown[at]) return at;
    const first = grown[at] ? begin[at] : at, start = split(first), across = split(at).map((to, axis) => start[axis] - to), length = Math.max(1, ...across.map(Math.abs));
    const straight = across.map((step) => Math.round((step * CLEAR) / length)), near = split(closest[first]).map((to, axis) => to - start[axis]);
    // Not what is nearer, nor what is another thing behind.
    for (const away of [near.map((step, axis) => step + Math.round(DEEP * across[axis])), near, straight]) {
      const place = start.map((from, axis) => from + away[axis]), to = place[0] * columns + place[1];
      const steep = 2 * Math.max(...slopes) * (Math.abs(away[0]) + Math.abs(away[1]) + RIM);
      if (inner(place, 0) && valid[to] && (clear[to] || away === straight) && Math.abs(Math.log(z[to] / z[first])) < Math.min(steep, ALIKE)) return to;
    }
    return first;
  } };
}
