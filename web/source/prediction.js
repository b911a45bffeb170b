// From a photograph to depth, normals and a surface at its size, as rilievo.predict does it.

import { anchorPrediction } from "./anchor.js";
import { assumedCamera, cameraFrom } from "./exif.js";
import { cropped, inside, marginsOf } from "./margins.js";
import { isDepth } from "./preparation.js";
import { pictureDoubt } from "./ranges.js";
import { atPhotographSize } from "./resizing.js";
import { panoramaOf, throughViews } from "./sphere.js";

/**
 * Depth of a photograph at its size. Maps have one number a pixel, row by row.
 * @typedef {object} Prediction
 * @property {string} name Name of the photograph's file.
 * @property {number} height
 * @property {number} width
 * @property {string} kind Kind of depth: metric, up_to_scale, affine or affine_inverse.
 * @property {boolean} isListed Whether rilievo lists the network, so that its kind is certain.
 * @property {any} photo The photograph's pixels.
 * @property {Float32Array} depth
 * @property {Uint8Array | null} valid Mask of pixels with depth; null if all have depth.
 * @property {number | null} doubt How much the network doubts the picture, 0 to 1; null if it predicts no confidence.
 * @property {Uint8Array | null} sky Mask of the sky; null if the network does not predict it.
 * @property {Uint8Array | null} transparent Mask of transparent pixels; null if there are none.
 * @property {any} camera
 * @property {any} madeBy Model, weights, licence, settings and version, for the facts of a result.
 * @property {string[]} notes Remarks for the user.
 * @property {((rows: number[], columns: number[]) => Float32Array) | null} normalsAt Unit normals at a grid of
 *   pixels, three numbers each; null if the network predicts none.
 * @property {any} [anchoring] How affine depth was anchored.
 * @property {any} [calibration] How depth became metres.
 */

const ENGINE = "onnxruntime-web";
// Share of the photograph that is left without its border above which no note mentions the border.
const MIN_NOTED_SHARE = 0.97;
// Length below which a resized normal has no direction.
const MIN_NORMAL = 1e-6;
const HEAD_ON = [0, 0, -1];

const PANORAMA_NOTE = "looks like a panorama and is treated as one; if it is not, enter a field of view in Settings";
const NO_PANORAMA_NOTE =
  "looks like a panorama, but this model treats it as an ordinary photograph, so its depth is wrong";
const BORDER_NOTE = "its uniform border was left out and has no depth";

/**
 * Predict the depth of a photograph.
 *
 * A panorama is shown to the network in perspective views, unless the options give a field of view.
 * @param {any} network
 * @param {any} photograph Its picture, camera, notes, and whether it is a panorama: see readPhotograph.
 * @param {string} name
 * @param {{fov: number, trim: boolean}} options Horizontal field of view [degrees], or NaN; and whether uniform
 *   borders are left out.
 * @param {string} version Version of rilievo.
 * @param {(count: number, whole: number) => void} [tell] Called after each view of a panorama.
 * @returns {Promise<Prediction>}
 */
export async function predict(network, photograph, name, options, version, tell) {
  const { picture, isRound } = photograph;
  const { height, width } = picture;
  const { card } = network;
  const hasGivenFov = options.fov > 0;
  const usesViews = isRound && !hasGivenFov && isDepth(card.kind);

  // Transparent pixels, which look like bars, are known to be no part of the picture.
  const transparent = picture.transparent ?? null;
  const margins = options.trim && !transparent && !usesViews ? marginsOf(picture) : null;
  const box = margins && inside(picture, margins);
  const shownPicture = box ? cropped(picture, box) : picture;

  const photographCamera = cameraOfPhotograph(photograph, options.fov, usesViews);
  const shownCamera = photographCamera && box ? moveCamera(photographCamera, -box.left, -box.top) : photographCamera;
  const answer = usesViews
    ? await throughViews(network, picture, tell)
    : await network.infer({ ...shownPicture, camera: shownCamera });
  const camera = shownCamera ?? answer.camera ?? assumedCamera(shownPicture);

  const resized = atPhotographSize(answer, shownPicture, card);
  const { depth, valid: validInBox, sky, confidence, normal } = withoutTransparent(resized, transparent);
  const valid = box ? embed(validInBox ?? new Uint8Array(depth.length).fill(1), box, height, width) : validInBox;
  const wholeConfidence = box && confidence ? embed(confidence, box, height, width) : confidence;

  const notes = [...photograph.notes];
  if (isRound && !hasGivenFov) notes.push(usesViews ? PANORAMA_NOTE : NO_PANORAMA_NOTE);
  if (box && box.height * box.width < MIN_NOTED_SHARE * height * width) notes.push(BORDER_NOTE);

  return {
    name,
    height,
    width,
    kind: card.kind,
    isListed: card.isListed,
    photo: picture,
    transparent,
    depth: box ? embed(depth, box, height, width) : depth,
    valid,
    doubt: wholeConfidence && pictureDoubt(wholeConfidence, valid, picture),
    sky: box && sky ? embed(sky, box, height, width) : sky,
    camera: box ? moveCamera(camera, box.left, box.top) : camera,
    madeBy: madeByRecord(network, options, version),
    notes,
    normalsAt: normal
      && ((rows, columns) => sampleNormals(normal, shownPicture.width, rows, columns, box, transparent)),
  };
}

// The camera that is known before the network answers; null if there is none.
function cameraOfPhotograph({ picture, camera }, fov, usesViews) {
  if (usesViews) return panoramaOf(picture);
  return fov > 0 ? cameraFrom(fov, picture, "fov") : camera;
}

const moveCamera = (camera, right, down) => ({ ...camera, cx: camera.cx + right, cy: camera.cy + down });

// Maps without depth and sky at transparent pixels.
function withoutTransparent(maps, transparent) {
  if (!transparent) return maps;
  const { depth, valid, sky } = maps;
  const isValid = (pixel) => !transparent[pixel] && (!valid || valid[pixel]);
  return {
    ...maps,
    depth: depth.map((z, pixel) => (transparent[pixel] ? 0 : z)),
    valid: Uint8Array.from(transparent, (_, pixel) => (isValid(pixel) ? 1 : 0)),
    sky: sky && sky.map((isSky, pixel) => (transparent[pixel] ? 0 : isSky)),
  };
}

// A map of the box of a photograph as a map of the whole photograph, with 0 outside of the box.
function embed(values, box, height, width) {
  const whole = new values.constructor(height * width);
  for (let row = 0; row < box.height; row++) {
    const line = values.subarray(row * box.width, (row + 1) * box.width);
    whole.set(line, (box.top + row) * width + box.left);
  }
  return whole;
}

// The record of what made a prediction, as rilievo.records.prediction_record.MadeBy has it.
function madeByRecord({ card, device, sha256 }, { trim }, version) {
  const settings = { engine: ENGINE, precision: "fp32", device };
  if (card.precision && card.precision !== "fp32") settings.weights = card.precision;
  if (card.settings) Object.assign(settings, card.settings);
  else if (card.rule === "area") settings.area = card.area;
  else {
    const size = card.height ? `${card.height}x${card.width}` : card.area;
    settings.sizing = `${card.rule} ${size} /${card.multiple}`;
    settings.resampling = card.resampling;
  }
  if (trim) settings.trim = trim;
  if (card.back !== "values") settings.resizing = card.back;
  return { model: card.name, weights_sha256: sha256, licence: card.licence, settings, version };
}

// Unit normals at a grid of pixels of the photograph. `normal(axis)` is a map of the box, or of the whole
// photograph; its axes come one after the other, so that never all are in memory at the photograph's size.
function sampleNormals(normal, mapWidth, rows, columns, box, transparent) {
  const { top, left, height, width } = box ?? { top: 0, left: 0, height: Infinity, width: mapWidth };
  const isOutside = (row, column) => row < 0 || column < 0 || row >= height || column >= width;

  const normals = new Float32Array(3 * rows.length * columns.length);
  for (let axis = 0; axis < 3; axis++) {
    const field = normal(axis);
    let index = axis;
    for (const row of rows) {
      for (const column of columns) {
        const hasNone = transparent?.[row * mapWidth + column] || isOutside(row - top, column - left);
        normals[index] = hasNone ? HEAD_ON[axis] : field[(row - top) * mapWidth + column - left];
        index += 3;
      }
    }
  }
  normalize(normals);
  return normals;
}

function normalize(normals) {
  for (let start = 0; start < normals.length; start += 3) {
    const vector = normals.subarray(start, start + 3);
    const length = Math.hypot(...vector);
    normals.set(length < MIN_NORMAL ? HEAD_ON : vector.map((axis) => axis / length), start);
  }
}

/**
 * The prediction of which surfaces are made: affine depth is anchored to the depth of a second network.
 * @param {Prediction} prediction
 * @param {{model: string, values: number[]}} reference Name of the second network, and its depth on a grid.
 * @returns {{prediction: Prediction | null, anchoring: any}} No prediction where the two networks disagree, and no
 *   anchoring where depth is not affine.
 */
export function surfacePrediction(prediction, reference) {
  if (isDepth(prediction.kind)) return { prediction, anchoring: null };
  const { anchoring, depth, valid } = anchorPrediction(prediction, reference);
  if (!depth) return { prediction: null, anchoring };
  return { prediction: { ...prediction, kind: "up_to_scale", depth, valid, anchoring }, anchoring };
}

/**
 * The same prediction with depth in metres, by the factor that a known length gives; unchanged without a factor.
 * @param {Prediction} prediction
 * @param {{factor: number, asked?: string}} metres The factor, and the length as the user stated it.
 * @returns {Prediction}
 */
export function inMetres(prediction, { factor, asked }) {
  if (!factor || prediction.kind !== "up_to_scale") return prediction;
  return {
    ...prediction,
    kind: "metric",
    depth: prediction.depth.map((z) => z * factor),
    calibration: { method: "known lengths", asked: [asked], space: "depth", scale: factor, shift: 0 },
  };
}
