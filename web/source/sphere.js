// A network's answer to a panorama, from perspective views of it: rilievo.models.wide_photographs.wide_views, with means in
// place of slopes and of Poisson's equation, and without normals.

import { clamp, cross, dot, lensOf, listOf, onRay, quantile } from "relief";
import { shrink } from "./resample.js";

// Largest side of a view [px], what networks saw in training.
const MAX_VIEW_SIDE = 512;
// Most rows of the answer, and the rows of the coarse panorama on which views are compared [px].
const MAX_ROWS = 640;
const COMPARISON_ROWS = 64;
// Rounds of least absolute differences, and the least difference of logarithms, by which weights divide.
const ALIGNMENT_ROUNDS = 200;
const MIN_DIFFERENCE = 1e-3;
// Weight of an unknown before any view counts, so that nothing is divided by 0.
const TINY_WEIGHT = 1e-9;
// Least power to which a network contracts depth.
const MIN_POWER = 0.6;

/**
 * The camera of a whole panorama: pixels per radian, and the middle.
 * @param {{height: number, width: number}} picture
 */
export function panoramaOf({ height, width }) {
  return {
    lens: "equirectangular",
    goes_round: true,
    degrees: 360,
    source: "assumed",
    fx: width / (2 * Math.PI),
    fy: height / Math.PI,
    cx: (width - 1) / 2,
    cy: (height - 1) / 2,
  };
}

// Views of 90 degrees through the corners of an icosahedron: their axes right, down and ahead.
const VIEWS = icosahedronCorners().map(viewAxes);

function icosahedronCorners() {
  const ring = listOf(10, (index) => {
    const turn = (Math.PI * index) / 5;
    return [2 * Math.sin(turn), index % 2 ? -1 : 1, 2 * Math.cos(turn)].map((axis) => axis / Math.sqrt(5));
  });
  return [[0, 1, 0], [0, -1, 0], ...ring];
}

function viewAxes(ahead) {
  const down = ahead[2] ? [0, 1, 0] : [0, 0, -ahead[1]];
  const side = cross(down, ahead);
  const right = side.map((axis) => axis / Math.hypot(...side));
  return [right, cross(ahead, right), ahead];
}

/**
 * Predict a panorama by a network that predicts depth.
 * @param {any} network
 * @param {any} picture
 * @param {(count: number, whole: number) => void} tell Called after each view.
 */
export async function throughViews(network, picture, tell) {
  const camera = panoramaOf(picture);
  // The side [px] at which a view of 90 degrees has as many pixels per radian as the panorama.
  const detailedSide = 2 * camera.fx;
  const side = Math.min(MAX_VIEW_SIDE, Math.ceil(detailedSide));
  const factor = Math.floor(detailedSide / side) || 1;
  const small = shrink(picture, [picture.height, picture.width].map((length) => Math.floor(length / factor)));

  const answers = [];
  for (const view of VIEWS) {
    answers.push(await network.infer(renderView(small, view, side)));
    tell(answers.length, VIEWS.length);
  }
  return { ...mergeAnswers(answers, Math.min(MAX_ROWS, picture.height)), camera };
}

// A view of a panorama as a photograph of `side` x `side` pixels.
function renderView(picture, axes, side) {
  const [right, down, ahead] = axes;
  const values = new Uint8ClampedArray(4 * side * side);
  const lens = lensOf(panoramaOf(picture));
  const middle = (side - 1) / 2;
  const focal = side / 2;
  for (let pixel = 0; pixel < side * side; pixel++) {
    const x = ((pixel % side) - middle) / focal;
    const y = (Math.floor(pixel / side) - middle) / focal;
    const ray = ahead.map((component, axis) => component + x * right[axis] + y * down[axis]);
    const [u, v] = lens.pixel(ray);
    for (let channel = 0; channel < 4; channel++) {
      values[4 * pixel + channel] = sampleBetween(picture, u, v, 4, channel);
    }
  }
  const camera = { fx: focal, fy: focal, cx: middle, cy: middle, source: "given" };
  return { height: side, width: side, values, camera };
}

// The value of a picture between pixels. Rows end at the edges, and columns of a panorama go round.
function sampleBetween({ height, width, values }, u, v, channels = 1, channel = 0) {
  const left = Math.floor(u);
  const top = Math.floor(v);
  const across = u - left;
  const down = v - top;
  const valueAt = (x, y) => values[(clamp(0, y, height - 1) * width + ((x + width) % width)) * channels + channel];
  const alongRow = (y) => valueAt(left, y) * (1 - across) + valueAt(left + 1, y) * across;
  return alongRow(top) * (1 - down) + alongRow(top + 1) * down;
}

/**
 * What views see at each pixel of a panorama of this many rows, row by row.
 *
 * Of each view: its number; `weight`, 1 in its middle and 0 at its edge; `level`, the cosine of the pixel's elevation,
 * by which pixels near the poles count less; `logDistance`, the logarithm of distance over depth; and `sample`, which
 * takes the fields of all views, and gives the value of this view's field at the pixel.
 */
function* viewsAtPixels(rows) {
  const columns = 2 * rows;
  const camera = panoramaOf({ height: rows, width: columns });
  for (let pixel = 0; pixel < rows * columns; pixel++) {
    const ray = onRay(camera, [pixel % columns, Math.floor(pixel / columns)], 1);
    const views = [];
    VIEWS.forEach((axes, number) => {
      const [x, y, z] = axes.map((axis) => dot(axis, ray));
      const weight = 1 - Math.max(Math.abs(x), Math.abs(y)) / z;
      if (!(z > 0) || !(weight > 0)) return;
      const toPixel = (tangent, side) => clamp(0, ((tangent + 1) * side - 1) / 2, side - 1);
      const sample = (fields) => {
        const field = fields[number];
        return sampleBetween(field, toPixel(x / z, field.width), toPixel(y / z, field.height));
      };
      views.push({ number, weight, level: Math.hypot(ray[0], ray[2]), logDistance: -Math.log(z), sample });
    });
    yield views;
  }
}

// Answers to all views as one, with a factor for each view, and one power to which the network contracts depth. Metres
// stay metres.
function mergeAnswers(answers, rows) {
  const medians = answers.map(({ depth }) => Math.log(quantile(depth.values, 0.5)));
  const logs = answers.map(({ depth }, view) => (
    { ...depth, values: depth.values.map((z) => Math.log(z) - medians[view]) }
  ));
  const { offsets, power } = alignViews(logs, medians);
  const commonOffset = quantile(medians.map((median, view) => median - offsets[view] / power), 0.5);

  const columns = 2 * rows;
  const makeField = () => ({ height: rows, width: columns, values: new Float32Array(rows * columns) });
  const confidences = answers.map((answer) => answer.confidence);
  const skies = answers.map((answer) => answer.sky);
  const depth = makeField();
  const confidence = confidences[0] && makeField();
  const sky = skies[0] && makeField();
  let pixel = 0;
  for (const views of viewsAtPixels(rows)) {
    const logDistance = weightedMean(views, (view) =>
      (view.sample(logs) + offsets[view.number]) / power + view.logDistance);
    depth.values[pixel] = Math.exp(commonOffset + logDistance);
    if (confidence) confidence.values[pixel] = weightedMean(views, (view) => view.sample(confidences));
    if (sky) sky.values[pixel] = weightedMean(views, (view) => view.sample(skies));
    pixel++;
  }
  return { depth, confidence, sky };
}

function weightedMean(views, valueOf) {
  const total = views.reduce((sum, { weight }) => sum + weight, 0);
  return views.reduce((sum, view) => sum + (view.weight / total) * valueOf(view), 0);
}

// An offset of log depth for each view, and the power, by least absolute differences where views overlap.
function alignViews(logs, medians) {
  const overlaps = overlapsOf(logs);
  // The last unknown is the power.
  const unknowns = [...medians, 1];
  let power = 1;
  for (let round = 0; round < ALIGNMENT_ROUNDS; round++) {
    const sums = unknowns.map(() => ({ gradient: 0, weight: TINY_WEIGHT }));
    for (const { first, second, distance, difference, weight, derivatives } of overlaps) {
      const residual = unknowns[second] - unknowns[first] + difference + power * distance;
      const residualWeight = weight / Math.max(Math.abs(residual), MIN_DIFFERENCE);
      for (const [unknown, derivative] of derivatives) {
        sums[unknown].gradient += residualWeight * derivative * residual;
        sums[unknown].weight += residualWeight * derivative ** 2;
      }
    }
    // Unknowns change at once, so that half a step does not overshoot.
    sums.forEach(({ gradient, weight }, unknown) => { unknowns[unknown] -= gradient / weight / 2; });
    power = clamp(MIN_POWER, unknowns[VIEWS.length], 1);
    unknowns[VIEWS.length] = power;
  }
  return { offsets: unknowns.slice(0, VIEWS.length), power };
}

// Pairs of views at the same pixels of a coarse panorama: by how much log depth and log distance of the second exceed
// those of the first, and the derivatives of a residual by its unknowns. The power counts where both are nearer than
// the medians of their views.
function overlapsOf(logs) {
  const overlaps = [];
  for (const views of viewsAtPixels(COMPARISON_ROWS)) {
    views.forEach((first, index) => {
      for (const second of views.slice(index + 1)) {
        const firstLog = first.sample(logs);
        const secondLog = second.sample(logs);
        const distance = second.logDistance - first.logDistance;
        const derivatives = [[first.number, -1], [second.number, 1]];
        if (firstLog < 0 && secondLog < 0) derivatives.push([VIEWS.length, distance]);
        overlaps.push({
          first: first.number,
          second: second.number,
          distance,
          difference: secondLog - firstLog,
          weight: first.level * Math.min(first.weight, second.weight),
          derivatives,
        });
      }
    });
  }
  return overlaps;
}
