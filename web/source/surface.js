// Points and triangles of a depth map, torn at edges: rilievo.geometry.surfaces.lattice and
// rilievo.geometry.surfaces.meshes.

import {
  cellsOf, cross, dot, facesOf, flyingOf, hasLower, hasUpper, isInside, less, listOf, pointOf, steepest, triangles,
} from "relief";
import { closeHoles, withoutSpecks } from "./patches.js";
import { sharpenEdges } from "./ramps.js";
import { distantSky, skyUpToEdges } from "./sky.js";

/**
 * Where surfaces are cut: the angle [degrees] below which a triangle is seen too much from the side, the relative jump
 * of depth that is an edge, and the share of points up to which a patch is a speck.
 */
export const CUT = { grazing: 3, jump: 0.08, specks: 1e-3 };

/**
 * The least step for which a lattice of every step-th pixel has at most this many points.
 * @param {{height: number, width: number}} prediction
 * @param {number} maxPoints
 */
export function surfaceStep({ height, width }, maxPoints) {
  let step = 1;
  while (sampleRange(height, step).count * sampleRange(width, step).count > maxPoints) step++;
  return step;
}

/**
 * The rows, or the columns, of a lattice: the middle one of every `step`, and at least one.
 * @param {number} length
 * @param {number} step
 */
export function sampleRange(length, step) {
  const first = Math.min(step - 1, length - 1) >> 1;
  return { first, count: Math.ceil((length - first) / step) };
}

/**
 * Sample the depth of every step-th pixel. What shows sky has no depth there, except in a panorama, whose sky is seen
 * from inside.
 * @param {any} prediction
 * @param {number} step
 * @returns {any} A lattice as surface_view/faces.js describes it. Its `transparent` marks points where no hole is
 *   closed, and is null if there are none.
 */
export function sampleLattice(prediction, step) {
  const { depth, valid, transparent, height, width, camera, normalsAt } = prediction;
  const rows = sampleRange(height, step);
  const columns = sampleRange(width, step);
  // Behind the camera a panorama that goes all round meets itself.
  if (camera.goes_round) columns.count++;

  const rowPixels = listOf(rows.count, (row) => rows.first + row * step);
  const columnPixels = listOf(columns.count, (column) => (columns.first + column * step) % width);
  const count = rows.count * columns.count;
  const pixels = new Uint32Array(count);
  rowPixels.forEach((y, row) => {
    columnPixels.forEach((x, column) => { pixels[row * columns.count + column] = y * width + x; });
  });

  const hasDepth = Uint8Array.from(pixels, (pixel) => (!valid || valid[pixel] ? 1 : 0));
  const z = Float32Array.from(pixels, (pixel, point) => (hasDepth[point] ? depth[pixel] : 1));
  return {
    rows: rows.count,
    columns: columns.count,
    firstRow: rows.first,
    firstColumn: columns.first,
    step,
    z,
    transparent: transparent && Uint8Array.from(pixels, (pixel) => (transparent[pixel] ? 1 : 0)),
    valid: withoutSky(prediction, pixels, z, hasDepth, columns.count),
    camera,
    height,
    width,
    normals: normalsAt?.(rowPixels, columnPixels),
  };
}

function withoutSky(prediction, pixels, z, hasDepth, columns) {
  if (isInside(prediction.camera)) return hasDepth;
  if (prediction.sky) {
    prediction.surfaceSky ??= skyUpToEdges(prediction);
    return hasDepth.map((isValid, point) => (isValid && !prediction.surfaceSky[pixels[point]] ? 1 : 0));
  }
  // Networks that mark pixels without depth have left out the sky already.
  if (!hasDepth.every(Boolean)) return hasDepth;
  const sky = distantSky(z, columns);
  return sky ? hasDepth.map((_, point) => (sky[point] ? 0 : 1)) : hasDepth;
}

/**
 * Make a lattice without small holes, and its faces. Where tears will be filled, slopes and specks stay, edges are
 * sharp, and `edge` is the least step of 1/z that is an edge.
 * @param {any} prediction
 * @param {number} step
 * @param {boolean} willBeFilled
 * @returns {{lattice: any, faces: Uint8Array, edge?: number}}
 */
export function meshOf(prediction, step, willBeFilled = true, cut = CUT) {
  const lattice = sampleLattice(prediction, step);
  const hasInside = isInside(lattice.camera);
  if (willBeFilled) {
    // Who stands inside a panorama sees every hole where it is.
    const sharp = sharpenEdges(hasInside ? lattice : closeHoles(lattice, cut));
    const edgeCut = { ...cut, grazing: 0, unexplained: 1, edge: sharp.edge };
    return { ...sharp, faces: facesOf(sharp.lattice, edgeCut) };
  }

  const faces = facesOf(lattice, cut);
  if (hasInside) return { lattice, faces };
  const { joinsRight, joinsBelow } = triangleLinks(faces, lattice);
  const valid = withoutSpecks(lattice, cut.specks, joinsRight, joinsBelow);
  const mended = closeHoles({ ...lattice, valid }, cut);
  return { lattice: mended, faces: facesOf(mended, cut) };
}

// Whether a triangle joins a point to the next of its row, and to the point below it.
function triangleLinks(faces, lattice) {
  const { columns } = lattice;
  const cell = cellsOf(faces, lattice);
  const atPoint = (test) => (point) => test(Math.floor(point / columns), point % columns);
  return {
    joinsRight: atPoint((row, column) => hasUpper(cell(row, column)) || hasLower(cell(row - 1, column))),
    joinsBelow: atPoint((row, column) => Boolean(cell(row, column) & 2 || cell(row, column - 1) & 4)),
  };
}

/**
 * A lattice whose `valid` marks the points of a cloud: no pixels on a ramp between a near and a far surface, and no
 * specks.
 * @param {any} prediction
 * @param {number} step
 */
export function cloudOf(prediction, step, cut = CUT) {
  const lattice = sampleLattice(prediction, step);
  const { z, columns, camera } = lattice;
  const flying = flyingOf(lattice, cut);
  const valid = lattice.valid.map((isValid, point) => (flying[point] ? 0 : isValid));

  const isNearNeighbour = (offset, maxJump) => (point) => {
    const neighbour = z[point + offset];
    return Math.max(z[point], neighbour) <= Math.min(z[point], neighbour) * (1 + maxJump);
  };
  const joinsRight = isNearNeighbour(1, steepest(camera.fx / step, cut));
  const joinsBelow = isNearNeighbour(columns, steepest(camera.fy / step, cut));
  return { ...lattice, valid: withoutSpecks({ valid, columns }, cut.specks, joinsRight, joinsBelow) };
}

/**
 * Normals of a lattice's points: the network's, or else those of the triangles.
 * @returns {Float32Array} Three numbers a point.
 */
export const normalsOn = (lattice, faces) => lattice.normals ?? vertexNormals(lattice, triangles(faces, lattice));

/**
 * Unit normals of a lattice's points, towards the camera: the mean of their triangles' normals, weighted by area. A
 * point without triangles gets the direction to the camera.
 * @param {any} lattice
 * @param {ArrayLike<number>} index Points of the triangles, three each.
 * @returns {Float32Array} Three numbers a point.
 */
export function vertexNormals(lattice, index) {
  const normals = new Float32Array(3 * lattice.z.length);
  for (let start = 0; start < index.length; start += 3) {
    const corners = [index[start], index[start + 1], index[start + 2]];
    const [p, q, r] = corners.map((point) => pointOf(lattice, point));
    const normal = cross(less(q, p), less(r, p));
    for (const point of corners) {
      for (let axis = 0; axis < 3; axis++) normals[3 * point + axis] += normal[axis];
    }
  }

  for (let point = 0; point < lattice.z.length; point++) {
    const normal = normals.subarray(3 * point, 3 * point + 3);
    if (!dot(normal, normal)) normal.set(pointOf(lattice, point).map((axis) => -axis));
    const length = Math.sqrt(dot(normal, normal));
    for (let axis = 0; axis < 3; axis++) normal[axis] /= length;
  }
  return normals;
}
