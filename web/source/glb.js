// A mesh that wears the photograph as binary glTF 2.0, as rilievo.io.formats.glb writes it, but for
// the smooth rims.

import { triangles } from "relief";
import { about, bytes, MOST_POINTS, stem, surfaceFacts } from "./facts.js";
import { merged } from "./flat.js";
import { meshOf, pixelOf, pointOf, stepFor } from "./surface.js";

const AXES = "x right, y up, z backwards (glTF); the camera is at the origin and looks along -z";
const ARRAY_BUFFER = 34962, ELEMENT_ARRAY_BUFFER = 34963;
const BYTE = 5120, UNSIGNED_SHORT = 5123, UNSIGNED_INT = 5125, FLOAT = 5126;
const LAST = 65535, COARSEST = 5e-4, FLATNESS = 0.004;

// Vertices that belong to a triangle, and the triangles by their numbers.
function verticesOf(prediction, step) {
  const { lattice, faces } = meshOf(prediction, step), flat = merged(lattice, faces, FLATNESS);
  const rest = triangles(flat.faces, lattice), index = new Uint32Array(rest.length + flat.index.length);
  index.set(rest);
  index.set(flat.index, rest.length);
  if (!index.length) throw new Error("nothing is left of the surface");
  const given = prediction.normalsOn(lattice, faces);
  const number = new Int32Array(lattice.z.length).fill(-1), used = [];
  for (const at of index) if (number[at] < 0) { number[at] = used.length; used.push(at); }
  const points = new Float32Array(3 * used.length), normals = new Int8Array(4 * used.length);
  const places = new Float32Array(2 * used.length);
  used.forEach((at, each) => {
    const [u, v] = pixelOf(lattice, at);
    places.set([(u + 0.5) / prediction.width, (v + 0.5) / prediction.height], 2 * each);
    pointOf(lattice, at).forEach((value, axis) => {
      const sign = axis ? -1 : 1;
      points[3 * each + axis] = sign * value;
      normals[4 * each + axis] = Math.round(127 * sign * given[3 * at + axis]);
    });
  });
  return { count: used.length, points, normals, places, index: index.map((at) => number[at]) };
}

// Positions as integers, with the node that brings them to their places, where a step of them is
// not seen near the camera; else as floats.
function positionsOf(points, pitch) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity], count = points.length / 3;
  points.forEach((value, at) => {
    low[at % 3] = Math.min(low[at % 3], value);
    high[at % 3] = Math.max(high[at % 3], value);
  });
  const scale = Math.max(...high.map((each, axis) => each - low[axis])) / LAST, accessor = { count, type: "VEC3" };
  if (!(scale > 0 && scale <= Math.min(COARSEST, pitch / 4) * -high[2])) {
    return { node: {}, part: { data: points, stride: 12, accessor: { ...accessor, componentType: FLOAT, min: low, max: high } } };
  }
  const steps = new Uint16Array(4 * count), least = [LAST, LAST, LAST], most = [0, 0, 0];
  points.forEach((value, at) => {
    const axis = at % 3, step = Math.max(0, Math.min(LAST, Math.round((value - low[axis]) / scale)));
    steps[4 * Math.floor(at / 3) + axis] = step;
    least[axis] = Math.min(least[axis], step);
    most[axis] = Math.max(most[axis], step);
  });
  return { node: { translation: low, scale: [scale, scale, scale] },
    part: { data: steps, stride: 8, accessor: { ...accessor, componentType: UNSIGNED_SHORT, min: least, max: most } } };
}

// `texture` is the photograph as the bytes of a JPEG file, and its width.
export function glb(prediction, texture) {
  const step = stepFor(prediction, MOST_POINTS), { camera } = prediction;
  const { count, points, normals, places, index } = verticesOf(prediction, step);
  const facts = surfaceFacts(prediction, "glb", "mesh of the surface", AXES,
    { pixel_step: step, points: count, triangles: index.length / 3, texture_width: texture.width }, ".glb");
  const { node, part } = positionsOf(points, step / camera.fx), short = count <= LAST;
  const parts = [part,
    { data: normals, stride: 4, accessor: { componentType: BYTE, count, type: "VEC3", normalized: true } },
    { data: places, stride: 8, accessor: { componentType: FLOAT, count, type: "VEC2" } },
    { data: short ? Uint16Array.from(index) : index, target: ELEMENT_ARRAY_BUFFER,
      accessor: { componentType: short ? UNSIGNED_SHORT : UNSIGNED_INT, count: index.length, type: "SCALAR" } },
    { data: texture.bytes }];
  const document = documentOf(prediction, about(prediction, facts), parts, node);
  return { name: facts.file, blob: packed(parts, document) };
}

function viewsOf(parts) {
  let length = 0;
  const views = parts.map(({ data, stride, target, accessor }) => {
    const view = { buffer: 0, byteOffset: length, byteLength: data.byteLength };
    length += 4 * Math.ceil(data.byteLength / 4);
    if (stride) view.byteStride = stride;
    return accessor ? { ...view, target: target ?? ARRAY_BUFFER } : view;
  });
  return { views, length };
}

function documentOf({ name, width, height, camera }, told, parts, node) {
  const { views, length } = viewsOf(parts);
  const accessors = parts.flatMap(({ accessor }, view) => (accessor ? [{ bufferView: view, ...accessor }] : []));
  const clamp = { magFilter: 9729, minFilter: 9987, wrapS: 33071, wrapT: 33071 };
  const surface = { metallicFactor: 0, roughnessFactor: 1, baseColorTexture: { index: 0 } };
  return {
    asset: { version: "2.0", generator: "rilievo", extras: { rilievo: told } },
    extensionsUsed: ["KHR_materials_unlit", "KHR_mesh_quantization"], extensionsRequired: ["KHR_mesh_quantization"],
    scene: 0, scenes: [{ nodes: [0, 1] }],
    nodes: [{ mesh: 0, name: stem(name), ...node }, { camera: 0, name: "photograph" }],
    cameras: [{ type: "perspective", perspective: { aspectRatio: (width * camera.fy) / (height * camera.fx),
      yfov: 2 * Math.atan(height / (2 * camera.fy)), znear: 0.01 } }],
    meshes: [{ primitives: [{ attributes: { POSITION: 0, NORMAL: 1, TEXCOORD_0: 2 }, indices: 3, material: 0 }] }],
    materials: [{ pbrMetallicRoughness: surface, doubleSided: true, extensions: { KHR_materials_unlit: {} } }],
    accessors, bufferViews: views, buffers: [{ byteLength: length }],
    images: [{ bufferView: 4, mimeType: "image/jpeg" }], samplers: [clamp], textures: [{ source: 0, sampler: 0 }],
  };
}

function packed(parts, document) {
  const text = bytes(JSON.stringify(document)), gap = (count) => (4 - (count % 4)) % 4;
  const words = (...numbers) => Uint32Array.from(numbers), { byteLength } = document.buffers[0];
  const json = text.length + gap(text.length), spaces = new Uint8Array(gap(text.length)).fill(32);
  const padded = parts.flatMap(({ data }) => [data, new Uint8Array(gap(data.byteLength))]);
  return new Blob([words(0x46546c67, 2, 12 + 8 + json + 8 + byteLength, json, 0x4e4f534a), text, spaces,
    words(byteLength, 0x004e4942), ...padded], { type: "model/gltf-binary" });
}
