// Published networks, which say nothing of themselves: those that the page describes, and others by
// the names of their inputs and outputs. rilievo.models.catalogue.graph_outputs, rilievo.geometry.focal.

import { answer, prepared } from "./preparation.js";
import { shrunk } from "./resample.js";

const SIDE = 1536, PATCH = 14, TOKENS = 1200, SAMPLES = 64, STEPS = 100, TOLERANCE = 1e-10, FARTHEST = 1e4, BEYOND = 1e12;
const LICENCE = "as its authors state it";

// Numbers of pixels, three after the other, as three fields after another.
function planar({ height, width, data }, change) {
  const pixels = height * width, values = new Float32Array(3 * pixels);
  for (let at = 0; at < pixels; at++) {
    for (let channel = 0; channel < 3; channel++) values[channel * pixels + at] = change(data[3 * at + channel], channel);
  }
  return { dims: [1, 3, height, width], data: values };
}

// A network with one normalised picture as input and one map of depth: { facts, feed, read } from
// what the page says of it (rilievo.serving.browser.page_graph).
export function describedBy({ input, depth: names, rescale, mean, std, ...facts }, { inputNames, outputNames }) {
  const name = input || inputNames[0], round = Math.fround, scale = std.map((each) => round(round(rescale) / round(each)));
  const shift = mean.map((each, channel) => round(round(each) / round(std[channel])));
  const depth = names.find((each) => outputNames.includes(each)) ?? (outputNames.length === 1 ? outputNames[0] : null);
  if (!inputNames.includes(name) || !depth) throw new Error("its inputs and outputs are not those that this page knows of it");
  return {
    facts: { ...facts, needsFocal: false, precision: "fp32" },
    feed: (photo) => ({ [name]: planar(prepared(facts, photo), (value, channel) => value * scale[channel] - shift[channel]) }),
    read: (outputs, photo) => answer({ ...facts, needsFocal: false }, { depth: outputs[depth] }, photo),
  };
}

const depthPro = {
  facts: { name: "depth-pro", licence: LICENCE, kind: "metric", needsFocal: true, rule: "fixed", height: SIDE, width: SIDE,
    area: 0, multiple: 1, resampling: "bilinear-points", padding: 0, fill: 1, precision: "fp32", back: "inverse linear 0.0001 10000.0" },
  feed(photo) {
    const level = Math.fround(1 / 127.5);
    return { pixel_values: planar(prepared(this.facts, photo), (value) => value * level - 1) };
  },
  read(outputs, photo) {
    const focal = outputs.focallength_px.data[0], { dims, data } = outputs.predicted_depth;
    if (!(focal > 0)) throw new Error(`it answered with a focal length of ${focal} pixels`);
    const fov = (360 / Math.PI) * Math.atan(SIDE / 2 / focal);
    // What reaches the end of its range may lie anywhere beyond.
    const depth = data.map((each) => (each < FARTHEST ? each : BEYOND) / (focal / SIDE));
    return answer(this.facts, { depth: { dims, data: depth }, fov: { data: [fov] } }, photo);
  },
};

// Focal length in halves of the diagonal and the shift of z that explain the pixels of points.
function focalAndShift({ height, width, points, inside }, known) {
  const xyz = [], uv = [], half = Math.hypot(height, width) / 2;
  for (let row = 0; row < SAMPLES; row++) {
    for (let column = 0; column < SAMPLES; column++) {
      const v = Math.floor((row * height) / SAMPLES), u = Math.floor((column * width) / SAMPLES), at = v * width + u;
      if (!inside[at]) continue;
      xyz.push(points.subarray(3 * at, 3 * at + 3));
      uv.push([(u - (width - 1) / 2) / half, (v - (height - 1) / 2) / half]);
    }
  }
  if (xyz.length < 2) return { focal: known ?? 1, shift: 0 };
  // Residuals, their derivative by the shift, and the focal length, at a shift.
  function at(shift) {
    const q = xyz.map(([x, y, z]) => [x / (z + shift), y / (z + shift)]), dq = q.map((each, index) =>
      each.map((value) => -value / (xyz[index][2] + shift)));
    const sum = (one, other) => one.reduce((all, each, index) => all + each[0] * other[index][0] + each[1] * other[index][1], 0);
    const norm = sum(q, q), focal = known ?? (norm > 0 ? sum(q, uv) / norm : 1);
    const change = known || !norm ? 0 : (sum(dq, uv) - 2 * focal * sum(q, dq)) / norm;
    const residuals = q.map((each, index) => each.map((value, axis) => focal * value - uv[index][axis]));
    const slope = dq.map((each, index) => each.map((value, axis) => focal * value + change * q[index][axis]));
    return { focal, cost: sum(residuals, residuals), curvature: sum(slope, slope), fall: sum(slope, residuals) };
  }
  let shift = 0, damping = 1e-3, here = at(0);
  if (!Number.isFinite(here.cost)) return { focal: here.focal, shift: 0 };
  for (let round = 0; round < STEPS && here.curvature > 0 && Number.isFinite(here.curvature); round++) {
    const step = -here.fall / (here.curvature * (1 + damping)), tried = at(shift + step);
    if (tried.cost <= here.cost) {
      [shift, here, damping] = [shift + step, tried, damping / 10];
      if (Math.abs(step) <= TOLERANCE * Math.max(1, Math.abs(shift))) break;
    } else if (damping > 1e12) break;
    else damping *= 10;
  }
  return { focal: here.focal, shift };
}

const moge = {
  facts: { name: "moge-2", licence: LICENCE, kind: "metric", settings: { tokens: TOKENS }, back: "log linear blended" },
  feed(photo) {
    const scale = Math.min(1, Math.sqrt((TOKENS * PATCH ** 2) / (photo.height * photo.width)));
    const size = [photo.height, photo.width].map((side) => Math.max(1, Math.round(side * scale)));
    const { height, width, values } = scale < 1 ? shrunk(photo, size) : photo;
    const data = values.filter((_, at) => at % 4 < 3);
    return { image: planar({ height, width, data }, (value) => value / 255),
      num_tokens: { dims: [], data: BigInt64Array.of(BigInt(TOKENS)) } };
  },
  read(outputs, photo) {
    const scale = (outputs.scale ?? outputs.metric_scale).data[0], points = outputs.points.data, [height, width] = outputs.points.dims.slice(-3);
    const pixels = height * width, inside = outputs.mask.data.map((each, at) => (each > 0.5
      && [0, 1, 2].every((axis) => Number.isFinite(points[3 * at + axis])) ? 1 : 0));
    const known = photo.camera && (photo.camera.fx * 2) / Math.hypot(photo.height, photo.width);
    const { focal, shift } = focalAndShift({ height, width, points, inside }, known);
    const depth = new Float32Array(pixels).fill((1 + Math.abs(shift)) * scale), valid = new Uint8Array(pixels);
    for (let at = 0; at < pixels; at++) {
      const own = points[3 * at + 2], z = (own + shift) * scale;
      if (own > 0 && Number.isFinite(z)) [depth[at], valid[at]] = [z, inside[at] && z > 0 ? 1 : 0];
    }
    if (!valid.some(Boolean)) throw new Error("it found no surface in this photograph");
    const fx = (focal * Math.hypot(photo.height, photo.width)) / 2;
    const camera = photo.camera ?? { fx, fy: fx, cx: (photo.width - 1) / 2, cy: (photo.height - 1) / 2, source: "predicted" };
    const normals = outputs.normal && [0, 1, 2].map((axis) => ({ height, width,
      values: Float32Array.from({ length: pixels }, (_, at) => {
        const normal = outputs.normal.data.subarray(3 * at, 3 * at + 3);
        return normal.every(Number.isFinite) ? normal[axis] : axis === 2 ? -1 : 0;
      }) }));
    return { depth: { height, width, values: depth }, valid, normals: normals ?? null, confidence: null, camera, shift: shift * scale };
  },
};

// How a published network is fed and read: { facts, feed(photo), read(outputs, photo) }; null of others.
export function publishedAs({ inputNames, outputNames }) {
  const has = (names, wanted) => wanted.every((each) => names.includes(each));
  if (has(inputNames, ["pixel_values"]) && has(outputNames, ["predicted_depth", "focallength_px"])) return depthPro;
  if (has(inputNames, ["image", "num_tokens"]) && has(outputNames, ["points", "mask"])) return moge;
  return null;
}
