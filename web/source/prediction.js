// From a photograph to depth, normals and a surface at its size, as rilievo.predict does it.

import { assumedCamera, cameraFrom } from "./exif.js";
import { anchored } from "./anchor.js";
import { cropped, inside, marginsOf } from "./margins.js";
import { isDepth } from "./preparation.js";
import { atPhotographSize } from "./resizing.js";
import { panoramaOf, throughViews } from "./sphere.js";

const ENGINE = "onnxruntime-web";
const TAKEN = "looks like a panorama and was taken as one; a field of view in Settings takes it otherwise";
const MISTAKEN = "looks like a panorama, which this network takes for an ordinary photograph, so its depth is wrong";

// A prediction: { name, height, width, kind, depth, valid (null where all pixels are), sky (null if
// the network does not tell), hollow (where the photograph is transparent, or null), camera, photo,
// madeBy, notes, normalsAt }.
// `normalsAt(rows, columns)` gives three numbers for every place of a grid of pixels, null without
// normals.
// A panorama is shown in views, of which `tell` hears, unless a field of view is given.
export async function predict(network, { picture, camera: told, isRound, notes: remarks }, name, options, version, tell) {
  const isNamed = options.fov > 0, inViews = isRound && !isNamed && isDepth(network.facts.kind);
  const camera = inViews ? panoramaOf(picture) : isNamed ? cameraFrom(options.fov, picture, "fov") : told;
  const notes = isRound && !isNamed ? [...remarks, inViews ? TAKEN : MISTAKEN] : remarks;
  // Transparent pixels are known to be no part of the picture, and look like bars.
  const hollow = picture.transparent ?? null;
  const margins = options.trim && !hollow && !inViews ? marginsOf(picture) : null, box = margins && inside(picture, margins);
  const seen = box ? cropped(picture, box) : picture;
  const given = camera && box ? moved(camera, -box.left, -box.top) : camera;
  const photo = { ...seen, camera: given };
  const answer = await (inViews ? throughViews(network, picture, tell) : network.infer(photo));
  const own = given ?? answer.camera ?? assumedCamera(seen);
  const { depth, valid, sky, normal } = shown(atPhotographSize(answer, seen, network.facts), hollow);
  const { height, width } = picture;
  return {
    name, height, width, kind: network.facts.kind, isKnown: network.facts.isKnown, photo: picture, hollow,
    ...inWhole({ depth, valid }, box, height, width),
    sky: box && sky ? embedded(sky, box, height, width) : sky,
    camera: box ? moved(own, box.left, box.top) : own,
    madeBy: madeBy(network, options, version),
    notes: box && box.height * box.width < 0.97 * height * width
      ? [...notes, "its uniform border was left out and has no depth"] : notes,
    normalsAt: normal && ((rows, columns) => normalsAt(normal, seen.width, rows, columns, box, hollow)),
  };
}

// The prediction of which surfaces are made: with affine depth anchored to a reference. The
// prediction itself where it is no affine one; null where the two answers disagree.
export function surfaceOf(prediction, reference) {
  if (isDepth(prediction.kind)) return { prediction, anchoring: null };
  const { anchoring, depth, valid } = anchored(prediction, reference);
  return { anchoring, prediction: depth ? { ...prediction, kind: "up_to_scale", depth, valid, anchoring } : null };
}

// Maps at the photograph's size without what is transparent.
function shown(maps, hollow) {
  if (!hollow) return maps;
  const { depth, valid, sky } = maps;
  return { ...maps, depth: depth.map((each, at) => (hollow[at] ? 0 : each)),
    valid: Uint8Array.from(hollow, (each, at) => (each || (valid && !valid[at]) ? 0 : 1)),
    sky: sky && sky.map((each, at) => (hollow[at] ? 0 : each)) };
}

// A map of the part of a photograph in a box, as one of the whole.
function inWhole({ depth, valid }, box, height, width) {
  if (!box) return { depth, valid, height, width };
  const known = valid ?? new Uint8Array(depth.length).fill(1);
  return { depth: embedded(depth, box, height, width), valid: embedded(known, box, height, width), height, width };
}

const moved = (camera, right, down) => ({ ...camera, cx: camera.cx + right, cy: camera.cy + down });

function embedded(values, box, height, width) {
  const whole = new values.constructor(height * width);
  for (let row = 0; row < box.height; row++) {
    const from = row * box.width;
    whole.set(values.subarray(from, from + box.width), (box.top + row) * width + box.left);
  }
  return whole;
}

function madeBy(network, { trim }, version) {
  const { name, licence, settings: own, back, rule, area, height, width, multiple, resampling, precision } = network.facts;
  const sizing = `${rule} ${height ? `${height}x${width}` : area} /${multiple}`;
  const settings = { engine: ENGINE, precision: "fp32", device: network.device, ...((precision ?? "fp32") === "fp32" ? {} : { weights: precision }),
    ...(own ?? (rule === "area" ? { area } : { sizing, resampling })), ...(trim ? { trim } : {}),
    ...(back === "values" ? {} : { resizing: back }) };
  return { model: name, weights_sha256: network.sha256, licence, settings, version };
}

// One field after the other, so that never all of them are in memory at the photograph's size.
function normalsAt(normal, width, rows, columns, box, hollow) {
  const found = new Float32Array(3 * rows.length * columns.length);
  const [top, left] = box ? [box.top, box.left] : [0, 0];
  const outside = (row, column) => hollow?.[row * width + column] || (box
    && (row < top || column < left || row >= top + box.height || column >= left + box.width));
  for (let axis = 0; axis < 3; axis++) {
    const field = normal(axis);
    let to = axis;
    for (const row of rows) {
      const start = (row - top) * width - left;
      for (const column of columns) {
        found[to] = outside(row, column) ? (axis === 2 ? -1 : 0) : field[start + column];
        to += 3;
      }
    }
  }
  for (let at = 0; at < found.length; at += 3) {
    const own = found.subarray(at, at + 3), length = Math.hypot(...own);
    found.set(length < 1e-6 ? [0, 0, -1] : own.map((each) => each / length), at);
  }
  return found;
}

// The same prediction with depth in metres, by the factor that a known length gives.
export function inMetres(prediction, { factor, asked }) {
  if (!factor || prediction.kind !== "up_to_scale") return prediction;
  return { ...prediction, kind: "metric", depth: prediction.depth.map((each) => each * factor),
    calibration: { method: "known lengths", asked: [asked], space: "depth", scale: factor, shift: 0 } };
}
