// The files that a visitor takes home: depth as a 16-bit PNG, points as PLY, a mesh as GLB, each as
// rilievo.io.formats writes it and with the same facts inside.

import { triangles } from "relief";
import { cloudOf, meshOf, pixelOf, pointOf, stepFor } from "./surface.js";

const LARGEST = 65535, MILLIMETRE = 0.001, MOST_POINTS = 1_000_000;
const OUR_AXES = "x right, y down, z forward (OpenCV); towards the camera: a wall head-on is (0, 0, -1)";
const GLTF_AXES = "x right, y up, z backwards (glTF); the camera is at the origin and looks along -z";
const MEANINGS = {
  metric: "depth along the optical axis in metres",
  up_to_scale: "depth along the optical axis times one unknown positive factor",
  affine: "depth along the optical axis times an unknown positive factor, plus an unknown shift",
  affine_inverse: "1/depth times an unknown positive factor, plus an unknown shift: large is near",
};
const bytes = (text) => new TextEncoder().encode(text);

export const unitOf = (kind) => (kind === "metric" ? "metre" : "arbitrary");

// The JSON inside of one file. `prediction` has made_by as rilievo.types.MadeBy has it.
function about(prediction, facts) {
  const { name, width, height, kind, camera, depth, valid, madeBy, calibration } = prediction;
  let minimum = Infinity, maximum = -Infinity, count = 0;
  for (let at = 0; at < depth.length; at++) {
    if (valid && !valid[at]) continue;
    minimum = Math.min(minimum, depth[at]);
    maximum = Math.max(maximum, depth[at]);
    count++;
  }
  const angle = (focal, centre, length) =>
    (180 / Math.PI) * (Math.atan((centre + 0.5) / focal) + Math.atan((length - 0.5 - centre) / focal));
  const { fx, fy, cx, cy, source } = camera;
  return {
    format: "rilievo/1", source: { file: name, width, height },
    depth: { kind, unit: unitOf(kind), meaning: MEANINGS[kind], ...(count ? { minimum, maximum } : {}), valid_pixels: count },
    camera: { K: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], source,
      horizontal_fov: angle(fx, cx, width), vertical_fov: angle(fy, cy, height) },
    ...(calibration ? { calibration } : {}), made_by: madeBy, run: {}, files: [facts], earlier: [],
  };
}

async function deflated(content) {
  const stream = new Blob([content]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const CHECKSUMS = Uint32Array.from({ length: 256 }, (_, each) => {
  for (let bit = 0; bit < 8; bit++) each = each & 1 ? (each >>> 1) ^ 0xedb88320 : each >>> 1;
  return each;
});

function chunk(name, content) {
  const result = new Uint8Array(12 + content.length), view = new DataView(result.buffer);
  view.setUint32(0, content.length);
  result.set(bytes(name), 4);
  result.set(content, 8);
  let sum = 0xffffffff;
  for (let at = 4; at < 8 + content.length; at++) sum = CHECKSUMS[(sum ^ result[at]) & 255] ^ (sum >>> 8);
  view.setUint32(8 + content.length, ~sum >>> 0);
  return result;
}

// Number = stored * scale + offset where stored > 0.
function codingOf(kind, low, high) {
  if (kind === "metric" && low >= MILLIMETRE && high <= LARGEST * MILLIMETRE) return { scale: MILLIMETRE, offset: 0 };
  const isDepth = kind === "metric" || kind === "up_to_scale";
  if (isDepth && low >= high / LARGEST) return { scale: high / LARGEST, offset: 0 };
  const scale = (high - low) / (LARGEST - 1) || Math.abs(low) || 1;
  return { scale, offset: (isDepth ? Math.max(low, scale * 1e-6) : low) - scale };
}

// Depth as a grey PNG of 16 bits that says inside what its numbers are.
export async function png16(prediction) {
  const { depth, valid, height, width, kind, name } = prediction;
  const facts = { file: `${stem(name)}.depth16.png`, output: "png16", holds: MEANINGS[kind], unit: unitOf(kind), invalid: 0 };
  const told = about(prediction, facts), { minimum = 1, maximum = 1 } = told.depth;
  const { scale, offset } = codingOf(kind, minimum, maximum);
  Object.assign(facts, { scale, offset });
  // Every row is told by its difference to the one above.
  const lines = new Uint8Array(height * (2 * width + 1)), above = new Uint8Array(2 * width);
  for (let row = 0, to = 0; row < height; row++) {
    lines[to++] = 2;
    for (let column = 0; column < width; column++) {
      const at = row * width + column, steps = Math.round((depth[at] - offset) / scale);
      const stored = valid && !valid[at] ? 0 : Math.max(1, Math.min(LARGEST, steps));
      for (const [each, part] of [[2 * column, stored >> 8], [2 * column + 1, stored & 255]]) {
        lines[to++] = part - above[each];
        above[each] = part;
      }
    }
  }
  const header = new Uint8Array(13), view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([16, 0, 0, 0, 0], 8);
  const said = { Software: "rilievo", kind, unit: unitOf(kind), scale: String(scale), offset: String(offset),
    invalid: "0", rilievo: JSON.stringify(told) };
  const texts = Object.entries(said).map(([key, text]) => chunk("iTXt", bytes(`${key}\0\0\0\0\0${text}`)));
  const parts = [new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", header), ...texts,
    chunk("IDAT", await deflated(lines)), chunk("IEND", new Uint8Array(0))];
  return { name: facts.file, blob: new Blob(parts, { type: "image/png" }) };
}

export const stem = (name) => name.replace(/\.[^.]*$/, "") || "photograph";

function surfaceFacts(prediction, output, holds, axes, surface, ending) {
  return { file: `${stem(prediction.name)}${ending}`, output, holds, unit: unitOf(prediction.kind), axes,
    surface: { edge_jump: 0.08, grazing_degrees: 3, specks: 2e-4, ...surface } };
}

// Points with normals and colours as a binary PLY, in the camera frame.
export function ply(prediction) {
  const step = stepFor(prediction, MOST_POINTS), lattice = cloudOf(prediction, step), used = [];
  lattice.valid.forEach((each, at) => { if (each) used.push(at); });
  if (!used.length) throw new Error("nothing is left of the surface");
  const facts = surfaceFacts(prediction, "ply", "points of the surface", OUR_AXES,
    { pixel_step: step, points: used.length }, ".ply");
  const normals = prediction.normalsOn(lattice), { width, values } = prediction.photo;
  const columns = ["x", "y", "z", "nx", "ny", "nz"].map((each) => `property float ${each}`);
  const header = ["ply", "format binary_little_endian 1.0",
    `comment unit: ${facts.unit} (${MEANINGS[prediction.kind]})`, `comment axes: ${OUR_AXES}`,
    `comment rilievo: ${JSON.stringify(about(prediction, facts))}`, `element vertex ${used.length}`, ...columns,
    ...["red", "green", "blue"].map((each) => `property uchar ${each}`), "end_header", ""].join("\n");
  const rows = new DataView(new ArrayBuffer(27 * used.length));
  used.forEach((at, each) => {
    const [u, v] = pixelOf(lattice, at), from = 4 * (v * width + u);
    pointOf(lattice, at).forEach((number, axis) => rows.setFloat32(27 * each + 4 * axis, number, true));
    for (let axis = 0; axis < 3; axis++) {
      rows.setFloat32(27 * each + 12 + 4 * axis, normals[3 * at + axis], true);
      rows.setUint8(27 * each + 24 + axis, values[from + axis]);
    }
  });
  return { name: facts.file, blob: new Blob([header, rows], { type: "application/octet-stream" }) };
}

// A mesh that wears the photograph, as binary glTF 2.0. `texture` gives the photograph as the bytes
// of a JPEG file.
export async function glb(prediction, texture) {
  const { width, height, camera } = prediction, step = stepFor(prediction, MOST_POINTS);
  const { lattice, faces } = meshOf(prediction, step), index = triangles(faces, lattice);
  if (!index.length) throw new Error("nothing is left of the surface");
  const normals = prediction.normalsOn(lattice, index), number = new Int32Array(lattice.z.length).fill(-1), used = [];
  for (const at of index) if (number[at] < 0) { number[at] = used.length; used.push(at); }
  const position = new Float32Array(3 * used.length), normal = new Float32Array(3 * used.length);
  const place = new Float32Array(2 * used.length), low = [0, 0, 0].fill(Infinity), high = [0, 0, 0].fill(-Infinity);
  used.forEach((at, each) => {
    const [u, v] = pixelOf(lattice, at);
    place.set([(u + 0.5) / width, (v + 0.5) / height], 2 * each);
    pointOf(lattice, at).forEach((value, axis) => {
      const sign = axis ? -1 : 1, to = 3 * each + axis;
      position[to] = sign * value;
      normal[to] = sign * normals[3 * at + axis];
      low[axis] = Math.min(low[axis], position[to]);
      high[axis] = Math.max(high[axis], position[to]);
    });
  });
  const facts = surfaceFacts(prediction, "glb", "mesh of the surface", GLTF_AXES,
    { pixel_step: step, points: used.length, triangles: index.length / 3, texture_width: texture.width }, ".glb");
  const parts = [position, normal, place, index.map((at) => number[at]), texture.bytes];
  const vector = (type, more) => ({ componentType: 5126, count: used.length, type, ...more });
  const accessors = [vector("VEC3", { min: low, max: high }), vector("VEC3"), vector("VEC2"),
    { componentType: 5125, count: index.length, type: "SCALAR" }].map((each, view) => ({ bufferView: view, ...each }));
  const clamp = { magFilter: 9729, minFilter: 9987, wrapS: 33071, wrapT: 33071 };
  const { views, length } = viewsOf(parts);
  return { name: facts.file, blob: packed(parts, {
    asset: { version: "2.0", generator: "rilievo", extras: { rilievo: about(prediction, facts) } },
    extensionsUsed: ["KHR_materials_unlit"], scene: 0, scenes: [{ nodes: [0, 1] }],
    nodes: [{ mesh: 0, name: stem(prediction.name) }, { camera: 0, name: "photograph" }],
    cameras: [{ type: "perspective", perspective: { aspectRatio: (width * camera.fy) / (height * camera.fx),
      yfov: 2 * Math.atan(height / (2 * camera.fy)), znear: 0.01 } }],
    meshes: [{ primitives: [{ attributes: { POSITION: 0, NORMAL: 1, TEXCOORD_0: 2 }, indices: 3, material: 0 }] }],
    materials: [{ pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 1, baseColorTexture: { index: 0 } },
      doubleSided: true, extensions: { KHR_materials_unlit: {} } }],
    accessors, bufferViews: views, buffers: [{ byteLength: length }],
    images: [{ bufferView: 4, mimeType: "image/jpeg" }], samplers: [clamp], textures: [{ source: 0, sampler: 0 }],
  }) };
}

function viewsOf(parts) {
  let length = 0;
  const views = parts.map((part, each) => {
    const view = { buffer: 0, byteOffset: length, byteLength: part.byteLength };
    length += 4 * Math.ceil(part.byteLength / 4);
    return each < 4 ? { ...view, target: each === 3 ? 34963 : 34962 } : view;
  });
  return { views, length };
}

function packed(parts, document) {
  const text = bytes(JSON.stringify(document)), gap = (count) => (4 - (count % 4)) % 4;
  const words = (...numbers) => Uint32Array.from(numbers), { byteLength } = document.buffers[0];
  const json = text.length + gap(text.length), spaces = new Uint8Array(gap(text.length)).fill(32);
  const padded = parts.flatMap((part) => [part, new Uint8Array(gap(part.byteLength))]);
  return new Blob([words(0x46546c67, 2, 12 + 8 + json + 8 + byteLength, json, 0x4e4f534a), text, spaces,
    words(byteLength, 0x004e4942), ...padded], { type: "model/gltf-binary" });
}
