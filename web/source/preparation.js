// How a photograph becomes a network's input, and what the network answers, by the method of the network's
// authors: rilievo.models.resampling.preparation and rilievo.models.resampling.inference.
//
// A picture is { height, width, values } with RGBA bytes; a field is the same with float32 numbers.

import { listOf } from "relief";
import { cameraFrom } from "./exif.js";
import { ANSWER_FILTERS, FILTERS, bilinearPoints, resizeField, resizePicture, shrink } from "./resample.js";

/**
 * What is known of a network before it runs: its input size and resampling, and the meaning of its depth.
 * @typedef {object} NetworkCard
 * @property {string} name
 * @property {string} licence
 * @property {string} kind Kind of depth: metric, up_to_scale, affine or affine_inverse.
 * @property {boolean} needsFocal Whether its depth has to be multiplied by the focal length over the width.
 * @property {string} rule Rule for the size of its input: see networkSize.
 * @property {number} height Number of the rule [px]; 0 if unused.
 * @property {number} width Number of the rule [px]; 0 if unused.
 * @property {number} area Number of pixels; 0 if unused.
 * @property {number} multiple Number of which both sides are multiples.
 * @property {string} resampling Filter that resizes the photograph.
 * @property {number} padding Factor of the reflected border around the photograph; 0 for none.
 * @property {number} fill The network pads its input to multiples of this number; 1 for no padding.
 * @property {string} precision Precision of the weights.
 * @property {string} back Rule by which its answer is resized, as the text that readResizing reads.
 */

const KINDS = ["metric", "up_to_scale", "affine", "affine_inverse"];
const RULES = ["area", "fixed", "least-change", "shortest-edge", "longest-edge", "floor"];
const RESAMPLINGS = ["triangle", "bilinear", "bicubic", "lanczos", "bilinear-points", "bilinear-corners"];
const SPACES = ["values", "inverse", "log"];
const METADATA_ERROR = "this page cannot read its metadata";

/**
 * Whether numbers of this kind are depth, of which a surface can be made; affine numbers are not.
 * @param {string} kind
 */
export const isDepth = (kind) => kind === "metric" || kind === "up_to_scale";

/**
 * Read the rule by which a network's answer is resized: a space, then maybe a filter, "blended" and two limits.
 *
 * `isBlended` says that pixels without depth are interpolated like others and left out afterwards. The limits
 * of depth are in metres, and `farthest` is 0 if there are none. Throws an Error if the text is no rule.
 * @param {string} text
 */
export function readResizing(text) {
  const words = text.split(" ");
  const space = words.shift();
  const filter = words[0] in ANSWER_FILTERS ? words.shift() : "antialiased";
  const isBlended = words[0] === "blended";
  if (isBlended) words.shift();

  const [nearest, farthest] = words.length ? words.map(Number) : [0, 0];
  const areLimitsValid = nearest >= 0 && farthest >= nearest && words.length <= 2;
  if (!SPACES.includes(space) || !areLimitsValid) throw new Error(METADATA_ERROR);
  return { space, filter, isBlended, nearest, farthest };
}

/**
 * Read the card of a network from the metadata that rilievo writes into ONNX files.
 *
 * Throws an Error in the user's words if something is missing or wrong.
 * @param {Map<string, string>} metadata
 * @returns {NetworkCard}
 */
export function readCard(metadata) {
  const read = (name, fallback = undefined) => {
    const value = metadata.get(`rilievo.${name}`) ?? fallback;
    if (value === undefined) throw new Error(`it lacks the metadata rilievo.${name}; write it again with 'rilievo export'`);
    return value;
  };

  const version = metadata.get("rilievo.format");
  if (version !== "1" && version !== "2") {
    throw new Error("it has no rilievo metadata: "
      + "'rilievo export FILE.onnx --kind KIND -o NEW.onnx' writes a copy with metadata");
  }
  const kind = read("kind");
  if (!KINDS.includes(kind)) throw new Error(`this page does not support its kind of depth, ${kind}`);

  const [height, width] = read("size", "0x0").split("x").map(Number);
  const card = {
    name: read("name"),
    licence: read("licence"),
    kind,
    needsFocal: version === "2" && read("focal") === "width",
    rule: version === "1" ? "area" : read("sizing"),
    height,
    width,
    area: Number(read("area")),
    multiple: Number(read("multiple")),
    resampling: read("resampling", "triangle"),
    padding: Number(read("padding", "0")),
    fill: Number(read("fill", "1")),
    precision: read("precision", "fp32"),
    back: read("back", "values"),
  };
  requireValidCard(card);
  return card;
}

function requireValidCard(card) {
  readResizing(card.back);
  const numbers = [card.height, card.width, card.area, card.multiple, card.padding, card.fill];
  const areNumbersValid = numbers.every((number) => number >= 0 && Number.isFinite(number)) && card.multiple >= 1;
  if (!RULES.includes(card.rule) || !RESAMPLINGS.includes(card.resampling) || !areNumbersValid) {
    throw new Error(METADATA_ERROR);
  }
}

/**
 * The size [height, width] of a network's input for a photograph.
 *
 * The rule "fixed" ignores the photograph's proportions; "floor" keeps its size, up to an area; all other
 * rules scale it to an area or to a side. Sides are multiples of `card.multiple`.
 * @param {NetworkCard} card
 * @param {{height: number, width: number}} photo
 * @returns {number[]}
 */
export function networkSize(card, photo) {
  const [rowBorder, columnBorder] = reflectedBorder(card, photo);
  const height = photo.height + 2 * rowBorder;
  const width = photo.width + 2 * columnBorder;
  // A thin strip would be rounded to no rows at all, so one multiple is the least.
  const multipleBelow = (length) => Math.max(1, Math.floor(length / card.multiple)) * card.multiple;
  const nearestMultiple = (length) => Math.max(1, roundHalfToEven(length / card.multiple)) * card.multiple;

  if (card.rule === "area") return sizeByArea(height, width, card);
  if (card.rule === "fixed") return [card.height, card.width];
  if (card.rule === "floor") {
    const scale = Math.min(1, Math.sqrt(card.area / (height * width)));
    return [multipleBelow(height * scale), multipleBelow(width * scale)];
  }
  const scale = scaleToSides(card, height, width);
  return [nearestMultiple(scale * height), nearestMultiple(scale * width)];
}

function scaleToSides(card, height, width) {
  if (card.rule === "shortest-edge") return card.height / Math.min(height, width);
  if (card.rule === "longest-edge") return card.height / Math.max(height, width);
  // The rule "least-change" takes the scale that is nearer to 1.
  const yScale = card.height / height;
  const xScale = card.width / width;
  return Math.abs(1 - xScale) < Math.abs(1 - yScale) ? xScale : yScale;
}

// The size of about `area` pixels in the proportions of a photograph, of the four pairs of multiples around
// the ideal size. Proportions count four times as much as the area.
function sizeByArea(height, width, { area, multiple }) {
  const idealHeight = Math.sqrt((area * height) / width);
  const idealWidth = area / idealHeight;
  const multiplesAround = (ideal) => {
    const below = Math.max(1, Math.floor(ideal / multiple));
    return [below * multiple, (below + 1) * multiple];
  };

  let best = null;
  let leastError = Infinity;
  for (const rows of multiplesAround(idealHeight)) {
    for (const columns of multiplesAround(idealWidth)) {
      const aspectError = Math.abs(Math.log((rows * width) / (columns * height)));
      const error = 4 * aspectError + Math.abs(Math.log((rows * columns) / area));
      if (error < leastError) {
        best = [rows, columns];
        leastError = error;
      }
    }
  }
  return best;
}

// Rounds as Python's round does.
function roundHalfToEven(number) {
  const below = Math.floor(number);
  if (number - below !== 0.5) return Math.round(number);
  return below % 2 ? below + 1 : below;
}

// Rows and columns of the border at each side into which a photograph is reflected.
function reflectedBorder(card, { height, width }) {
  return [height, width].map((side) => Math.trunc(Math.sqrt(side / 2) * card.padding));
}

/**
 * The photograph at the size of a network's input: three numbers from 0 to 255 a pixel. Bilinear points are not
 * rounded, and other resamplings give bytes.
 * @param {NetworkCard} card
 * @param {any} photo
 * @returns {{height: number, width: number, data: Uint8Array | Float32Array}}
 */
export function prepareInput(card, photo) {
  const size = networkSize(card, photo);
  const [height, width] = size;
  if (card.resampling.startsWith("bilinear-")) {
    const alignsCorners = card.resampling === "bilinear-corners";
    const data = bilinearPoints(photo, size, alignsCorners, reflectedBorder(card, photo));
    return { height, width, data };
  }
  const { values } = resizePhoto(photo, size, card.resampling);
  return { height, width, data: Uint8Array.from(values.filter((_, index) => index % 4 < 3)) };
}

function resizePhoto(photo, size, resampling) {
  if (resampling === "triangle") return shrink(photo, size);
  const [height, width] = size;
  if (photo.height === height && photo.width === width) return photo;
  return resizePicture(photo, size, FILTERS[resampling]);
}

/**
 * Read what a network answered for a photograph; all fields have the network's size.
 *
 * Confidence and the probability of sky are 0 to 1, and null if the network predicts none. So are the three
 * fields of normals, and the camera if neither the photograph nor the network states it. Throws an Error in the
 * user's words if the answer has a wrong shape or is no depth.
 * @param {NetworkCard} card
 * @param {Record<string, {dims?: number[], data: any}>} outputs
 * @param {any} photo The photograph's size, and its camera if it is known.
 */
export function readAnswer(card, outputs, photo) {
  const { filter } = readResizing(card.back);
  const depth = readFields(card, outputs.depth, "depth", 1, photo, filter)?.[0];
  if (!depth) throw new Error("it has no output named depth");

  const fov = outputs.fov?.data[0];
  const camera = photo.camera ?? (fov ? cameraFrom(fov, photo, "predicted") : null);
  if (card.needsFocal) {
    if (!camera) throw new Error("it needs the focal length, which this photograph does not state: enter the field of view");
    const factor = camera.fx / photo.width;
    depth.values = depth.values.map((z) => z * factor);
  }
  const isPlausible = (z) => Number.isFinite(z) && (z > 0 || !isDepth(card.kind));
  if (!depth.values.every(isPlausible)) throw new Error("its output contains values that are not valid depth");

  return {
    depth,
    normals: readFields(card, outputs.normals, "normals", 3, photo, filter),
    confidence: readFields(card, outputs.confidence, "confidence", 1, photo)?.[0] ?? null,
    sky: readFields(card, outputs.sky, "sky", 1, photo)?.[0] ?? null,
    camera,
  };
}

// The fields of an output that has `count` of them; null if the network has no such output.
function readFields(card, output, name, count, photo, filter = "antialiased") {
  if (!output) return null;
  const [height, width] = output.dims.slice(-2);
  const pixels = height * width;
  if (output.data.length !== count * pixels) {
    throw new Error(`its output ${name} has the shape ${output.dims.join(" × ")}, not ${count} × height × width`);
  }
  return listOf(count, (index) => {
    const values = output.data.slice(index * pixels, (index + 1) * pixels);
    return withoutPadding(card, { height, width, values }, photo, filter);
  });
}

// The part of an answer that shows the photograph, at the photograph's size; the whole answer if nothing was
// added around the photograph.
function withoutPadding(card, field, photo, filter) {
  const [rowBorder, columnBorder] = reflectedBorder(card, photo);
  // A reflected border is a part of the resized photograph, while the network pads its input.
  const [height, width] = card.padding ? [photo.height, photo.width] : networkSize(card, photo);
  const rows = windowOf(rowBorder, height, card.fill, field.height);
  const columns = windowOf(columnBorder, width, card.fill, field.width);
  if (!rows.isPadded && !columns.isPadded) return field;

  const box = [columns.start, rows.start, columns.end, rows.end];
  const size = [photo.height, photo.width];
  const resized = resizeField(field, size, box, ANSWER_FILTERS[filter]);
  if (filter !== "cubic" || !isDepth(card.kind)) return resized;
  return linearWhereNotPositive(resized, () => resizeField(field, size, box, ANSWER_FILTERS.linear));
}

// The part of an axis of an answer, `length` long, that shows the photograph.
function windowOf(border, side, fill, length) {
  const missing = (fill - (side % fill)) % fill;
  const before = border || missing >> 1;
  const after = border || missing - (missing >> 1);
  const scale = length / (before + side + after);
  return { isPadded: before + after > 0, start: before * scale, end: length - after * scale };
}

/**
 * A field of depth with linear numbers where cubic resizing overshot to below zero, as it does beside edges.
 * @param {any} field
 * @param {() => any} resizeLinearly Called only where it is needed.
 */
export function linearWhereNotPositive(field, resizeLinearly) {
  if (field.values.every((z) => z > 0)) return field;
  const linear = resizeLinearly();
  return { ...field, values: field.values.map((z, pixel) => (z > 0 ? z : linear.values[pixel])) };
}
