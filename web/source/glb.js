// A mesh that wears the photograph as binary glTF 2.0, as rilievo.io.outputs.formats.gltf writes it.

import { backdropOf, contoured, fillOf, onRay, pixelOf, pointOf, softPicture, triangles } from "relief";
import { about, MAX_POINTS, stem, surfaceFacts, toBytes } from "./facts.js";
import { merged } from "./flat.js";
import { skyPlane } from "./sky_backdrop.js";
import { CUT, meshOf, normalsOn, surfaceStep, vertexNormals } from "./surface.js";

const AXES = "x right, y up, z backwards (glTF); the camera is at the origin and looks along -z";
const ARRAY_BUFFER = 34962, ELEMENT_ARRAY_BUFFER = 34963, UNSIGNED_SHORT = 5123, UNSIGNED_INT = 5125, FLOAT = 5126;
const LAST = 65535, FLATNESS = 0.004, COARSER = [4, 12], MOST = 26000;

/**
 * Make points, normals and places in the texture, three, three and two numbers a vertex, and triangles.
 * @param {Array<{index: number[], normals: Float32Array, place: Function, share?: boolean}>} layers A layer that shares
 *   begins at the points of the layer before it.
 */
function joined(layers) {
  const mesh = { points: [], normals: [], places: [], index: [] };
  let number = new Map();
  for (const { index, normals, place, share = false } of layers) {
    if (!share) number = new Map();
    for (const at of index) {
      if (!number.has(at)) {
        const { texel, point } = place(at);
        number.set(at, mesh.points.length / 3);
        mesh.points.push(point[0], -point[1], -point[2]);
        mesh.normals.push(normals[3 * at], -normals[3 * at + 1], -normals[3 * at + 2]);
        mesh.places.push(...texel);
      }
      mesh.index.push(number.get(at));
    }
  }
  return mesh;
}

/** The surface with smooth rims: its lattice, cells, triangles, and the moved points. */
function surfaceOf(prediction, step, backing) {
  /** @type {any} */
  const { lattice, faces, edge } = meshOf(prediction, step, backing > 0);
  const simplified = (flatness) => {
    const flat = merged(lattice, faces, flatness);
    return [...triangles(flat.faces, lattice), ...flat.index];
  };
  let index = simplified(FLATNESS);
  for (const factor of COARSER) if (new Set(index).size > MOST) index = simplified(factor * FLATNESS);
  if (!index.length) throw new Error("the surface is empty");
  const rims = new Map(contoured(lattice, faces, index, CUT).map((rim) => [rim.at, rim]));
  return { lattice, faces, edge, index, rims };
}

/** Colours of a lattice's points, four bytes each. */
function coloursOf({ photo }, lattice) {
  const colours = new Uint8ClampedArray(4 * lattice.z.length);
  for (let at = 0; at < lattice.z.length; at++) {
    const [u, v] = pixelOf(lattice, at), from = 4 * (v * photo.width + (u % photo.width));
    colours.set(photo.values.subarray(from, from + 4), 4 * at);
  }
  return colours;
}

/** The layer of the backdrop for the sky, as `joined` takes it; null without a sky. */
function skyLayer(prediction, texture) {
  const sky = skyPlane(prediction);
  if (!sky) return null;
  const { width, height, camera } = prediction, { points, pixels, index } = backdropOf(sky.form, sky.flags, camera, prediction);
  const normals = Float32Array.from({ length: 3 * points.length }, (_, at) => (at % 3 === 2 ? -1 : 0));
  const texelOf = ([u, v]) => [(u + 0.5) / width, (texture.photoShare * (v + 0.5)) / height];
  return { index, normals, place: (at) => ({ texel: texelOf(pixels[at]), point: points[at] }) };
}

/** Layers of a mesh, as `joined` takes them, from the surface to what lies behind it. */
function layersOf(prediction, { lattice, faces, index, rims }, fill, texture) {
  const { width, height } = prediction, { step } = lattice;
  const inPhoto = ([u, v]) => [(u + 0.5) / width, (texture.photoShare * (v + 0.5)) / height];
  const inSoft = ([u, v]) => [(u + 0.5) / width, texture.softStart + (texture.softShare * (v + 0.5)) / height];
  const place = (at) => {
    const rim = rims.get(at), [u, v] = pixelOf(lattice, at);
    if (!rim) return { texel: inPhoto([u, v]), point: pointOf(lattice, at) };
    /** @type {[number, number]} */
    const pixel = [u + rim.across * step, v + rim.down * step];
    return { texel: inPhoto(pixel), point: onRay(lattice.camera, pixel, rim.z) };
  };
  const layers = [{ index, normals: normalsOn(lattice, faces), place }];
  if (!fill) return layers;
  layers.push({ index: fill.tears, normals: vertexNormals(lattice, fill.tears), place, share: true });
  if (!fill.layer) return layers;
  const behind = { ...lattice, z: fill.layer.z };
  layers.push({ index: fill.behind, normals: vertexNormals(behind, fill.behind),
    place: (at) => ({ texel: inSoft(pixelOf(behind, at)), point: pointOf(behind, at) }) });
  return layers;
}

/**
 * Write a mesh as binary glTF.
 * @param {any} prediction
 * @param {Function} paint Makes the texture of the photograph and a soft picture, or null, below it.
 * @param {number} share Share of the width by which far surfaces go on behind near ones.
 */
export async function glb(prediction, paint, share = 0) {
  const backing = prediction.camera.lens ? 0 : share; // from inside nobody sees behind
  const step = surfaceStep(prediction, MAX_POINTS), surface = surfaceOf(prediction, step, backing), { lattice } = surface;
  const fill = backing ? fillOf(lattice, surface.faces, surface.edge, Math.ceil(backing * lattice.columns)) : null;
  const texture = await paint(fill?.layer ? softPicture(fill.layer, lattice, coloursOf(prediction, lattice)) : null);
  const sky = skyLayer(prediction, texture), layers = layersOf(prediction, surface, fill, texture);
  const { points, normals, places, index } = joined(sky ? [sky, ...layers] : layers), count = points.length / 3;
  const facts = surfaceFacts(prediction, "glb", "mesh of the surface", AXES,
    { pixel_step: step, points: count, triangles: index.length / 3, texture_width: texture.width,
      ...(sky && { backdrop: sky.index.length / 3 }),
      ...(fill && { backing, grazing_degrees: 0, behind: (fill.tears.length + fill.behind.length) / 3 }) }, ".glb");
  const vectors = (data, type, more = {}) => ({ data: Float32Array.from(data), accessor: { componentType: FLOAT, count, type, ...more } });
  const short = count <= LAST;
  const parts = [vectors(points, "VEC3", bounds(points)), vectors(normals, "VEC3"), vectors(places, "VEC2"),
    { data: (short ? Uint16Array : Uint32Array).from(index), target: ELEMENT_ARRAY_BUFFER,
      accessor: { componentType: short ? UNSIGNED_SHORT : UNSIGNED_INT, count: index.length, type: "SCALAR" } },
    { data: texture.bytes }];
  return { name: facts.file, blob: packed(parts, documentOf(prediction, about(prediction, facts), parts)) };
}

// The least and the largest numbers of points, as they are stored.
function bounds(points) {
  const min = [Infinity, Infinity, Infinity], max = [-Infinity, -Infinity, -Infinity];
  points.forEach((value, at) => {
    min[at % 3] = Math.min(min[at % 3], Math.fround(value));
    max[at % 3] = Math.max(max[at % 3], Math.fround(value));
  });
  return { min, max };
}

function viewsOf(parts) {
  let length = 0;
  const views = parts.map(({ data, target, accessor }) => {
    const view = { buffer: 0, byteOffset: length, byteLength: data.byteLength };
    length += 4 * Math.ceil(data.byteLength / 4);
    return accessor ? { ...view, target: target ?? ARRAY_BUFFER } : view;
  });
  return { views, length };
}

function documentOf({ name, width, height, camera }, told, parts) {
  const { views, length } = viewsOf(parts);
  const accessors = parts.flatMap(({ accessor }, view) => (accessor ? [{ bufferView: view, ...accessor }] : []));
  const clamp = { magFilter: 9729, minFilter: 9987, wrapS: 33071, wrapT: 33071 };
  const surface = { metallicFactor: 0, roughnessFactor: 1, baseColorTexture: { index: 0 } };
  return {
    asset: { version: "2.0", generator: "rilievo", extras: { rilievo: told } },
    extensionsUsed: ["KHR_materials_unlit"],
    scene: 0, scenes: [{ nodes: camera.lens ? [0] : [0, 1] }],
    nodes: [{ mesh: 0, name: stem(name) }, ...(camera.lens ? [] : [{ camera: 0, name: "photograph" }])],
    // glTF has cameras of pinholes alone.
    cameras: camera.lens ? undefined : [{ type: "perspective", perspective: { aspectRatio: (width * camera.fy) / (height * camera.fx),
      yfov: 2 * Math.atan(height / (2 * camera.fy)), znear: 0.01 } }],
    meshes: [{ primitives: [{ attributes: { POSITION: 0, NORMAL: 1, TEXCOORD_0: 2 }, indices: 3, material: 0 }] }],
    materials: [{ pbrMetallicRoughness: surface, doubleSided: true, extensions: { KHR_materials_unlit: {} } }],
    accessors, bufferViews: views, buffers: [{ byteLength: length }],
    images: [{ bufferView: 4, mimeType: "image/jpeg" }], samplers: [clamp], textures: [{ source: 0, sampler: 0 }],
  };
}

function packed(parts, document) {
  const text = toBytes(JSON.stringify(document)), gap = (count) => (4 - (count % 4)) % 4;
  const words = (...numbers) => Uint32Array.from(numbers), { byteLength } = document.buffers[0];
  const json = text.length + gap(text.length), spaces = new Uint8Array(gap(text.length)).fill(32);
  const padded = parts.flatMap(({ data }) => [data, new Uint8Array(gap(data.byteLength))]);
  return new Blob([words(0x46546c67, 2, 12 + 8 + json + 8 + byteLength, json, 0x4e4f534a), text, spaces,
    words(byteLength, 0x004e4942), ...padded], { type: "model/gltf-binary" });
}
