// A network's answer at the photograph's size, by the rule of its card: rilievo.models.resampling.resizing.

import { isDepth, linearWhereNotPositive, readResizing } from "./preparation.js";
import { ANSWER_FILTERS, resizeField } from "./resample.js";

// Share of a pixel that is valid, or sky, above which the pixel is.
const MIN_SHARE = 0.5;

/**
 * Resize a network's answer to the photograph's size.
 *
 * `valid` is null if all pixels have depth, and confidence and the mask of the sky are null if the network predicts none.
 * `normal(axis)` resizes one axis of the normals, which are not of unit length then; null without normals.
 * @param {any} answer The answer at the network's size: see readAnswer. `shift` is subtracted before a logarithm is
 *   taken, and added afterwards [m].
 * @param {{height: number, width: number}} photo
 * @param {{kind: string, back: string}} card
 */
export function atPhotographSize(answer, photo, { kind, back }) {
  const { depth, valid = null, normals, confidence = null, sky = null, shift = 0 } = answer;
  const rule = readResizing(back);
  const size = [photo.height, photo.width];
  const resizeNormal = (axis) => resizeField(normals[axis], size, null, ANSWER_FILTERS[rule.filter]).values;
  return {
    ...resizeDepthMap(depth, valid, kind, size, rule, shift),
    confidence: confidence && resizeField(confidence, size).values,
    sky: sky && toMask(resizeField(sky, size).values),
    normal: normals && resizeNormal,
  };
}

const toMask = (shares) => Uint8Array.from(shares, (share) => (share > MIN_SHARE ? 1 : 0));

function resizeDepthMap(depth, valid, kind, size, rule, shift) {
  if (!valid || valid.every(Boolean)) return { depth: resizeDepth(depth, kind, size, rule, shift), valid: null };

  // Cubic weights of some of the pixels may cancel, so that nothing could be divided by them.
  const filter = ANSWER_FILTERS[rule.filter === "cubic" ? "linear" : rule.filter];
  const resize = (values) => resizeField({ ...depth, values }, size, null, filter).values;
  const validShare = resize(Float32Array.from(valid));
  const newValid = toMask(validShare);
  if (rule.isBlended) {
    const values = resizeDepth(depth, kind, size, rule, shift);
    const isPlausible = (z) => Number.isFinite(z) && (z > 0 || !isDepth(kind));
    const blendedValid = newValid.map((isValid, pixel) => (isValid && isPlausible(values[pixel]) ? 1 : 0));
    return { depth: values.map((z, pixel) => (blendedValid[pixel] ? z : 0)), valid: blendedValid };
  }

  // Otherwise invalid pixels are not blended into their neighbours.
  const space = spaceOf(rule, shift);
  const sums = resize(depth.values.map((z, pixel) => (valid[pixel] ? space.enter(z) : 0)));
  const values = sums.map((sum, pixel) => (newValid[pixel] ? space.leave(sum / validShare[pixel]) : 0));
  return { depth: limitDepth(values, rule), valid: newValid };
}

function resizeDepth(depth, kind, size, rule, shift) {
  if (depth.height === size[0] && depth.width === size[1]) return limitDepth(depth.values, rule);

  const space = spaceOf(rule, shift);
  const inSpace = { ...depth, values: depth.values.map(space.enter) };
  let resized = resizeField(inSpace, size, null, ANSWER_FILTERS[rule.filter]);
  if (rule.filter === "cubic" && isDepth(kind)) {
    resized = linearWhereNotPositive(resized, () => resizeField(depth, size, null, ANSWER_FILTERS.linear));
  }
  return limitDepth(resized.values.map(space.leave), rule);
}

// Functions from depth to the space in which it is interpolated, and from there to depth.
function spaceOf(rule, shift) {
  if (rule.space === "inverse") return { enter: (z) => 1 / z, leave: (inverse) => 1 / inverse };
  if (rule.space === "log") return { enter: (z) => Math.log(z - shift), leave: (log) => Math.exp(log) + shift };
  return { enter: (z) => z, leave: (z) => z };
}

function limitDepth(values, { nearest, farthest }) {
  return farthest ? values.map((z) => Math.max(nearest, Math.min(farthest, z))) : values;
}
