// Networks whose files have no metadata of rilievo: those that the page's settings describe, and others by the names of
// their inputs and outputs. rilievo.models.catalogue.graph_outputs reads the same outputs.
//
// Each is { card, feed(photo), read(outputs, photo) }: its card, its inputs for a photograph, and its answer as
// readAnswer gives it. Inputs and outputs are { dims, data } by name.

import { prepareInput, readAnswer } from "./preparation.js";
import { shrink } from "./resample.js";

const LICENCE = "as its authors state it";
const HEAD_ON = [0, 0, -1];

/**
 * A network that the page's settings describe: one normalised picture as input, and one map of depth.
 * @param {any} graph Names of its input and of its possible outputs, its normalisation, and its card:
 *   rilievo.serving.browser.page_graph.
 * @param {any} session
 */
export function describedNetwork(graph, { inputNames, outputNames }) {
  const { input, depth: depthNames, rescale, mean, std, ...described } = graph;
  const inputName = input || inputNames[0];
  const onlyOutput = outputNames.length === 1 ? outputNames[0] : null;
  const depthName = depthNames.find((name) => outputNames.includes(name)) ?? onlyOutput;
  if (!inputNames.includes(inputName) || !depthName) {
    throw new Error("its inputs and outputs differ from those that this page expects");
  }

  // In single precision, as the authors' programs compute it.
  const round = Math.fround;
  const scale = std.map((deviation) => round(round(rescale) / round(deviation)));
  const shift = mean.map((level, channel) => round(round(level) / round(std[channel])));
  const normalize = (value, channel) => value * scale[channel] - shift[channel];
  const card = { ...described, needsFocal: false, precision: "fp32" };
  return {
    card,
    feed: (photo) => ({ [inputName]: toPlanes(prepareInput(card, photo), normalize) }),
    read: (outputs, photo) => readAnswer(card, { depth: outputs[depthName] }, photo),
  };
}

/**
 * A network that is known by the names of its inputs and outputs; null for others.
 * @param {{inputNames: string[], outputNames: string[]}} session
 */
export function publishedNetwork({ inputNames, outputNames }) {
  const hasNames = (inputs, outputs) =>
    inputs.every((name) => inputNames.includes(name)) && outputs.every((name) => outputNames.includes(name));
  if (hasNames(["pixel_values"], ["predicted_depth", "focallength_px"])) return depthPro;
  if (hasNames(["image", "num_tokens"], ["points", "mask"])) return moge;
  return null;
}

// Pixels of three numbers as a tensor of three planes.
function toPlanes({ height, width, data }, change) {
  const pixels = height * width;
  const planes = new Float32Array(3 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      planes[channel * pixels + pixel] = change(data[3 * pixel + channel], channel);
    }
  }
  return { dims: [1, 3, height, width], data: planes };
}

// Side of Depth Pro's input [px].
const DEPTH_PRO_SIDE = 1536;
// End of Depth Pro's range; what reaches it may lie anywhere beyond.
const DEPTH_PRO_FARTHEST = 1e4;
// Depth that stands for an inverse depth of 0 [m].
const BEYOND = 1e12;

const depthPro = {
  card: {
    name: "depth-pro",
    licence: LICENCE,
    kind: "metric",
    needsFocal: true,
    rule: "fixed",
    height: DEPTH_PRO_SIDE,
    width: DEPTH_PRO_SIDE,
    area: 0,
    multiple: 1,
    resampling: "bilinear-points",
    padding: 0,
    fill: 1,
    precision: "fp32",
    back: "inverse linear 0.0001 10000.0",
  },
  feed(photo) {
    const level = Math.fround(1 / 127.5);
    return { pixel_values: toPlanes(prepareInput(this.card, photo), (value) => value * level - 1) };
  },
  read(outputs, photo) {
    const focal = outputs.focallength_px.data[0];
    if (!(focal > 0)) throw new Error(`it predicted an invalid focal length of ${focal} pixels`);
    const fov = (360 / Math.PI) * Math.atan(DEPTH_PRO_SIDE / 2 / focal);
    const { dims, data } = outputs.predicted_depth;
    const depth = data.map((z) => (z < DEPTH_PRO_FARTHEST ? z : BEYOND) / (focal / DEPTH_PRO_SIDE));
    return readAnswer(this.card, { depth: { dims, data: depth }, fov: { data: [fov] } }, photo);
  },
};

// Tokens of MoGe-2's input, and the side of each [px].
const MOGE_TOKENS = 1200;
const MOGE_PATCH = 14;

const moge = {
  card: {
    name: "moge-2",
    licence: LICENCE,
    kind: "metric",
    settings: { tokens: MOGE_TOKENS },
    back: "log linear blended",
  },
  feed(photo) {
    const scale = Math.min(1, Math.sqrt((MOGE_TOKENS * MOGE_PATCH ** 2) / (photo.height * photo.width)));
    const size = [photo.height, photo.width].map((side) => Math.max(1, Math.round(side * scale)));
    const { height, width, values } = scale < 1 ? shrink(photo, size) : photo;
    const data = values.filter((_, index) => index % 4 < 3);
    return {
      image: toPlanes({ height, width, data }, (value) => value / 255),
      num_tokens: { dims: [], data: BigInt64Array.of(BigInt(MOGE_TOKENS)) },
    };
  },
  read(outputs, photo) {
    const metricScale = (outputs.scale ?? outputs.metric_scale).data[0];
    const points = outputs.points.data;
    const [height, width] = outputs.points.dims.slice(-3);
    const isFinitePoint = (pixel) => [0, 1, 2].every((axis) => Number.isFinite(points[3 * pixel + axis]));
    const mask = outputs.mask.data.map((chance, pixel) => (chance > 0.5 && isFinitePoint(pixel) ? 1 : 0));

    const diagonal = Math.hypot(photo.height, photo.width);
    const knownFocal = photo.camera && (photo.camera.fx * 2) / diagonal;
    const { focal, shift } = fitFocalShift({ height, width, points, mask }, knownFocal);

    const pixels = height * width;
    const depth = new Float32Array(pixels).fill((1 + Math.abs(shift)) * metricScale);
    const valid = new Uint8Array(pixels);
    for (let pixel = 0; pixel < pixels; pixel++) {
      const pointZ = points[3 * pixel + 2];
      const z = (pointZ + shift) * metricScale;
      if (!(pointZ > 0) || !Number.isFinite(z)) continue;
      depth[pixel] = z;
      valid[pixel] = mask[pixel] && z > 0 ? 1 : 0;
    }
    if (!valid.some(Boolean)) throw new Error("it found no surface in this photograph");

    const fx = (focal * diagonal) / 2;
    const predicted = { fx, fy: fx, cx: (photo.width - 1) / 2, cy: (photo.height - 1) / 2, source: "predicted" };
    return {
      depth: { height, width, values: depth },
      valid,
      normals: outputs.normal ? normalFields(outputs.normal.data, height, width) : null,
      confidence: null,
      camera: photo.camera ?? predicted,
      shift: shift * metricScale,
    };
  },
};

// The three axes of normals as fields; normals with a NaN are those of a wall seen head-on.
function normalFields(data, height, width) {
  return [0, 1, 2].map((axis) => {
    const values = new Float32Array(height * width);
    for (let pixel = 0; pixel < values.length; pixel++) {
      const normal = data.subarray(3 * pixel, 3 * pixel + 3);
      values[pixel] = normal.every(Number.isFinite) ? normal[axis] : HEAD_ON[axis];
    }
    return { height, width, values };
  });
}

// Rows and columns of the pixels to which a focal length and a shift are fitted.
const GRID_SIDE = 64;
const MAX_STEPS = 100;
// Last step of the shift, relative to it.
const CONVERGED = 1e-10;
const FIRST_DAMPING = 1e-3;
const MAX_DAMPING = 1e12;

// The focal length, in halves of the diagonal, and the shift of z that explain the pixels of points, by
// Levenberg-Marquardt: rilievo.models.catalogue.focal.fit_focal_shift.
function fitFocalShift(pointMap, knownFocal) {
  const { xyz, uv } = sampledPoints(pointMap);
  if (xyz.length < 2) return { focal: knownFocal ?? 1, shift: 0 };

  let shift = 0;
  let damping = FIRST_DAMPING;
  let current = fitAtShift(xyz, uv, shift, knownFocal);
  if (!Number.isFinite(current.cost)) return { focal: current.focal, shift: 0 };
  for (let count = 0; count < MAX_STEPS; count++) {
    if (!(current.curvature > 0) || !Number.isFinite(current.curvature)) break;
    const step = -current.gradient / (current.curvature * (1 + damping));
    const next = fitAtShift(xyz, uv, shift + step, knownFocal);
    if (next.cost <= current.cost) {
      shift += step;
      current = next;
      damping /= 10;
      if (Math.abs(step) <= CONVERGED * Math.max(1, Math.abs(shift))) break;
    } else if (damping > MAX_DAMPING) {
      break;
    } else {
      damping *= 10;
    }
  }
  return { focal: current.focal, shift };
}

// Points of a grid, and their pixels in halves of the diagonal from the middle of the picture.
function sampledPoints({ height, width, points, mask }) {
  const xyz = [];
  const uv = [];
  const halfDiagonal = Math.hypot(height, width) / 2;
  for (let gridRow = 0; gridRow < GRID_SIDE; gridRow++) {
    const row = Math.floor((gridRow * height) / GRID_SIDE);
    for (let gridColumn = 0; gridColumn < GRID_SIDE; gridColumn++) {
      const column = Math.floor((gridColumn * width) / GRID_SIDE);
      const pixel = row * width + column;
      if (!mask[pixel]) continue;
      xyz.push(points.subarray(3 * pixel, 3 * pixel + 3));
      uv.push([(column - (width - 1) / 2) / halfDiagonal, (row - (height - 1) / 2) / halfDiagonal]);
    }
  }
  return { xyz, uv };
}

// The focal length of least squares at a shift, unless it is known; the sum of squared residuals; and its gradient and
// curvature along the shift, with which a free focal length changes.
function fitAtShift(xyz, uv, shift, knownFocal) {
  const image = xyz.map(([x, y, z]) => [x / (z + shift), y / (z + shift)]);
  const imageDerivative = image.map((point, index) => point.map((value) => -value / (xyz[index][2] + shift)));
  const norm = sumOfProducts(image, image);
  const freeFocal = norm > 0 ? sumOfProducts(image, uv) / norm : 1;
  const focal = knownFocal ?? freeFocal;
  let focalDerivative = 0;
  if (!knownFocal && norm) {
    const normDerivative = 2 * focal * sumOfProducts(image, imageDerivative);
    focalDerivative = (sumOfProducts(imageDerivative, uv) - normDerivative) / norm;
  }

  const residuals = image.map((point, index) => point.map((value, axis) => focal * value - uv[index][axis]));
  const derivatives = imageDerivative.map((point, index) =>
    point.map((value, axis) => focal * value + focalDerivative * image[index][axis]));
  return {
    focal,
    cost: sumOfProducts(residuals, residuals),
    curvature: sumOfProducts(derivatives, derivatives),
    gradient: sumOfProducts(derivatives, residuals),
  };
}

function sumOfProducts(a, b) {
  return a.reduce((sum, [x, y], index) => sum + x * b[index][0] + y * b[index][1], 0);
}
