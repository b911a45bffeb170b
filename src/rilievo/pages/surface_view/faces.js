"use strict";
// Points of every so many-th pixel and the triangles between them: rilievo.geometry.surfaces.lattice.
//
// A lattice is { rows, columns, firstRow, firstColumn, step, z, valid, camera, normals }, z being 1 where
// there is no depth, and normals, three numbers a point, left out where the network gives none.

// Pixel (u, v) of the photograph that a point of the lattice stands for.
const pixelOf = (lattice, at) => [lattice.firstColumn + (at % lattice.columns) * lattice.step,
  lattice.firstRow + Math.floor(at / lattice.columns) * lattice.step];

const onRay = (camera, pixel, z) => lensOf(camera).ray(pixel).map((axis) => axis * z);
const pointOf = (lattice, at) => onRay(lattice.camera, pixelOf(lattice, at), lattice.z[at]);
const UNEXPLAINED = 0.25, AGREEING = Math.cos((25 * Math.PI) / 180), EDGE_ON = Math.tan(Math.PI / 30);
const less = (p, q) => [p[0] - q[0], p[1] - q[1], p[2] - q[2]];

// `at` is the point of one corner, whose normal confirms a triangle that is seen at a grazing angle.
function isSeen([i, j, k], [p, q, r], cut, { normals, z }, at) {
  if (Math.max(z[i], z[j], z[k]) > Math.min(z[i], z[j], z[k]) * (1 + cut.jump)) return false;
  const normal = cross(less(q, p), less(r, p));
  if (-dot(normal, p) > Math.sqrt(dot(normal, normal) * dot(p, p)) * Math.sin((cut.grazing * Math.PI) / 180)) return true;
  return normals ? dot(normal, normals.subarray(3 * at, 3 * at + 3)) > Math.sqrt(dot(normal, normal)) * AGREEING : false;
}

// One where there is a step between a point and the one that many numbers on, which the slopes on
// both sides do not explain.
function stepsAlong({ rows, columns, z, valid }, pitch, cut) {
  const across = pitch === 1, length = across ? columns : rows, found = new Uint8Array(z.length);
  const inverse = Float64Array.from(z, (each) => 1 / each), limit = (cut.unexplained ?? UNEXPLAINED) * cut.jump;
  for (let at = 0; at < z.length; at++) {
    const place = across ? at % columns : Math.floor(at / columns), here = inverse[at], next = inverse[at + pitch];
    if (place === length - 1) continue;
    const before = place > 0 && valid[at - pitch] && valid[at], after = place < length - 2 && valid[at + pitch] && valid[at + 2 * pitch];
    if (!before && !after) continue;
    const one = before ? here - inverse[at - pitch] : inverse[at + 2 * pitch] - next;
    const other = after ? inverse[at + 2 * pitch] - next : one, rise = next - here;
    if (Math.max(rise - Math.max(one, other), Math.min(one, other) - rise) > limit * Math.min(here, next)) found[at] = 1;
  }
  return found;
}

// The step of 1/z from each point to the one that many numbers on, if it is one of `least` and a surface there would
// be seen edge-on; else 0.
function edgesAlong({ rows, columns, z, valid, camera, step }, pitch, least) {
  const across = pitch === 1, share = step / ((across ? camera.fx : camera.fy) * EDGE_ON), found = new Float32Array(z.length);
  for (let at = 0; at < z.length; at++) {
    if ((across ? at % columns === columns - 1 : at >= (rows - 1) * columns) || !valid[at] || !valid[at + pitch]) continue;
    const here = 1 / z[at], next = 1 / z[at + pitch];
    if (Math.abs(next - here) > Math.max(share * Math.min(here, next), least)) found[at] = next - here;
  }
  return found;
}

// One byte for every four neighbours a b / c d: 1 where they are split from a to d, plus 2 and 4
// where their left and right triangle is there.
function facesOf(lattice, cut) {
  const { rows, columns, valid, z } = lattice, faces = new Uint8Array((rows - 1) * (columns - 1));
  const line = (row) => listOf(columns, (column) => pointOf(lattice, row * columns + column));
  const beside = stepsAlong(lattice, 1, cut), below = stepsAlong(lattice, columns, cut);
  if (cut.edge) for (const [torn, pitch] of [[beside, 1], [below, columns]]) edgesAlong(lattice, pitch, cut.edge).forEach((rise, at) => { if (rise) torn[at] = 1; });
  let upper = line(0);
  for (let row = 0, to = 0; row < rows - 1; row++) {
    const lower = line(row + 1);
    for (let column = 0; column < columns - 1; column++, to++) {
      const [a, b, c, d] = [upper[column], upper[column + 1], lower[column], lower[column + 1]], four = cornersOf(to, columns);
      const [i, j, k, l] = four, [va, vb, vc, vd] = four.map((at) => valid[at]);
      // If one corner is missing, take the split that keeps the triangle of the other three.
      const falling = va && vd && (Math.abs(z[i] - z[l]) <= Math.abs(z[j] - z[k]) || !(vb && vc));
      const [above, under] = falling ? [i, k] : [k, i];
      const first = va && vc && (falling ? vd : vb) && !below[i] && !beside[under] && isSeen([i, k, falling ? l : j], [a, c, falling ? d : b], cut, lattice, k);
      const second = vb && vd && (falling ? va : vc) && !below[j] && !beside[above] && isSeen([j, falling ? i : k, l], [b, falling ? a : c, d], cut, lattice, j);
      faces[to] = (falling ? 1 : 0) + (first ? 2 : 0) + (second ? 4 : 0);
    }
    upper = lower;
  }
  return faces;
}

// Largest step between neighbours relative to the nearer: that of a surface at the grazing angle.
const steepest = (focal, cut) => Math.min(cut.jump, 1 / (focal * Math.tan((cut.grazing * Math.PI) / 180)));

// One for points on a ramp between a near and a far surface: rilievo.geometry.surfaces.meshes.flying_pixels.
function flyingOf(lattice, cut) {
  const { rows, columns, z, valid, camera, step, normals } = lattice;
  const share = { down: 1 + steepest(camera.fy / step, cut), across: 1 + steepest(camera.fx / step, cut) };
  const ramps = (at, pitch, factor) => {
    const [before, here, after] = [z[at - pitch], z[at], z[at + pitch]];
    if (!valid[at - pitch] || !valid[at] || !valid[at + pitch]) return false;
    return (here > before * factor && after > here * factor) || (before > here * factor && here > after * factor);
  };
  const found = z.map((_, at) => {
    const row = Math.floor(at / columns), column = at % columns;
    return (row > 0 && row < rows - 1 && ramps(at, columns, share.down))
      || (column > 0 && column < columns - 1 && ramps(at, 1, share.across)) ? 1 : 0;
  });
  // What the normals say is on a steep surface is not flying.
  if (normals) for (const at of triangles(facesOf(lattice, cut), lattice)) found[at] = 0;
  return found;
}
