// Points and triangles of a depth map, torn at edges: rilievo.geometry.surfaces.lattice and .surface.

import { cellsOf, cross, dot, facesOf, flyingOf, hasLower, hasUpper, isInside, less, listOf, pointOf, steepest, triangles } from "relief";
import { closed, withoutSpecks } from "./patches.js";
import { sharpened } from "./ramps.js";
import { skyToEdges } from "./sky.js";

export const CUT = { grazing: 3, jump: 0.08, specks: 1e-3 }; // degrees, share, share

// Rows, or columns, of a lattice: the middle one of every `step`, and at least one.
function places(length, step) {
  const first = Math.min(step - 1, length - 1) >> 1;
  return { first, count: Math.ceil((length - first) / step) };
}

// The least step for which a lattice has at most `most` points.
export function stepFor({ height, width }, most) {
  let step = 1;
  while (places(height, step).count * places(width, step).count > most) step++;
  return step;
}

const steps = (first, count, step) => listOf(count, (each) => first + each * step);

const FAR = 12, LEAST_SKY = 0.005;

// What has depth, without the sky that a network puts far behind all else, for one that does not mark
// it: rilievo.io.outputs.sky.
function withoutSky(z, seen, columns) {
  if (!seen.every(Boolean)) return seen;
  const limit = FAR * z.slice().sort()[Math.floor(z.length / 4)];
  let far = 0, between = 0;
  for (const each of z) {
    if (each > limit) far++;
    else if (each > limit / 2) between++;
  }
  if (far < Math.max(LEAST_SKY * z.length, between) || !z.subarray(0, columns).some((each) => each > limit)) return seen;
  return seen.map((_, at) => (z[at] > limit ? 0 : 1));
}

// The lattice of every `step`-th pixel.
export function latticeOf(prediction, step) {
  const { depth, valid, hollow, height, width, camera, normalsAt } = prediction;
  const down = places(height, step), across = places(width, step), inside = isInside(camera);
  const sky = inside || !prediction.sky ? prediction.sky : (prediction.surfaceSky ??= skyToEdges(prediction));
  // Behind the camera a panorama that goes all round meets itself.
  if (camera.goes_round) across.count++;
  const z = new Float32Array(down.count * across.count), seen = new Uint8Array(z.length).fill(1), shown = seen.slice();
  const empty = hollow && new Uint8Array(z.length);
  for (let row = 0, at = 0; row < down.count; row++) {
    for (let column = 0; column < across.count; column++, at++) {
      const pixel = (down.first + row * step) * width + ((across.first + column * step) % width);
      if (valid && !valid[pixel]) seen[at] = 0;
      if (hollow?.[pixel]) empty[at] = 1;
      z[at] = seen[at] ? depth[pixel] : 1;
      // Who stands inside a panorama sees its sky too.
      shown[at] = seen[at] && (inside || !sky?.[pixel]) ? 1 : 0;
    }
  }
  return { rows: down.count, columns: across.count, firstRow: down.first, firstColumn: across.first,
    step, z, hollow: empty, valid: sky || inside ? shown : withoutSky(z, seen, across.count), camera, height, width,
    normals: normalsAt?.(steps(down.first, down.count, step), steps(across.first, across.count, step).map((each) => each % width)) };
}

// Whether a triangle joins a point to the next of its row, and to the one under it.
function linksOf(faces, lattice) {
  const cell = cellsOf(faces, lattice), { columns } = lattice;
  const at = (test) => (point) => test(Math.floor(point / columns), point % columns);
  return {
    beside: at((row, column) => hasUpper(cell(row, column)) || hasLower(cell(row - 1, column))),
    below: at((row, column) => Boolean(cell(row, column) & 2 || cell(row, column - 1) & 4)),
  };
}

// A lattice without small holes, its faces, and the least step of 1/z that is an edge. Where tears will be
// filled, slopes and specks stay, and edges are sharp.
export function meshOf(prediction, step, filled = true, cut = CUT) {
  const lattice = latticeOf(prediction, step);
  if (filled) {
    // Who stands inside a panorama sees every hole where it is.
    const sharp = sharpened(isInside(lattice.camera) ? lattice : closed(lattice, cut));
    return { ...sharp, faces: facesOf(sharp.lattice, { ...cut, grazing: 0, unexplained: 1, edge: sharp.edge }) };
  }
  const faces = facesOf(lattice, cut), links = linksOf(faces, lattice);
  if (isInside(lattice.camera)) return { lattice, faces };
  const valid = withoutSpecks(lattice, cut.specks, links.beside, links.below);
  const mended = closed({ ...lattice, valid }, cut);
  return { lattice: mended, faces: facesOf(mended, cut) };
}

// The points of a cloud: `valid` of a lattice without pixels on a ramp between a near and a far
// surface, and without specks.
export function cloudOf(prediction, step, cut = CUT) {
  const lattice = latticeOf(prediction, step), { z, columns, rows, camera } = lattice;
  const reach = { down: steepest(camera.fy / step, cut), across: steepest(camera.fx / step, cut) };
  const flying = flyingOf(lattice, cut), valid = lattice.valid.map((each, at) => (flying[at] ? 0 : each));
  const close = (pitch, share) => (at) =>
    Math.max(z[at], z[at + pitch]) <= Math.min(z[at], z[at + pitch]) * (1 + share);
  const kept = withoutSpecks({ valid, columns }, cut.specks, close(1, reach.across), close(columns, reach.down));
  return { ...lattice, valid: kept };
}

// Normals on the points of a lattice, those of its triangles where the network gives none.
export const normalsOn = (lattice, faces) => lattice.normals ?? vertexNormals(lattice, triangles(faces, lattice));

// Normals of a lattice's points, towards the camera: the mean of their triangles', by area; to the
// camera where there is none. Three numbers a point.
export function vertexNormals(lattice, index) {
  const normals = new Float32Array(3 * lattice.z.length);
  for (let at = 0; at < index.length; at += 3) {
    const [p, q, r] = [0, 1, 2].map((corner) => pointOf(lattice, index[at + corner]));
    const normal = cross(less(q, p), less(r, p));
    for (let corner = 0; corner < 3; corner++) {
      for (let axis = 0; axis < 3; axis++) normals[3 * index[at + corner] + axis] += normal[axis];
    }
  }
  for (let at = 0; at < lattice.z.length; at++) {
    const normal = normals.subarray(3 * at, 3 * at + 3);
    if (!dot(normal, normal)) normal.set(pointOf(lattice, at).map((each) => -each));
    const length = Math.sqrt(dot(normal, normal));
    for (let axis = 0; axis < 3; axis++) normal[axis] /= length;
  }
  return normals;
}
