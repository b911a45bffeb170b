// A network's answer to a panorama, from perspective views of it: rilievo.models.resampling.wide_views, with means in
// place of slopes and of Poisson's equation, and without normals.

import { clamp, cross, dot, lensOf, listOf, onRay, quantile } from "relief";
import { shrunk } from "./resample.js";

const SIDE = 512, MOST_ROWS = 640, COARSE_ROWS = 64; // pixels
const ROUNDS = 200, LEAST = 1e-3, POWER = 0.6;

export const panoramaOf = ({ height, width }) => ({ lens: "equirectangular", goes_round: true, degrees: 360, source: "assumed",
  fx: width / (2 * Math.PI), fy: height / Math.PI, cx: (width - 1) / 2, cy: (height - 1) / 2 });

// Views of 90 degrees through the corners of an icosahedron: their axes right, down and ahead.
const VIEWS = [[0, 1, 0], [0, -1, 0], ...listOf(10, (each) => {
  const turn = (Math.PI * each) / 5;
  return [2 * Math.sin(turn), each % 2 ? -1 : 1, 2 * Math.cos(turn)].map((axis) => axis / Math.sqrt(5));
})].map((ahead) => {
  const side = cross(ahead[2] ? [0, 1, 0] : [0, 0, -ahead[1]], ahead), right = side.map((each) => each / Math.hypot(...side));
  return [right, cross(ahead, right), ahead];
});

// A number between pixels; rows end at the edges, and columns of a panorama meet there.
function sampled({ height, width, values }, u, v, channels = 1, channel = 0) {
  const left = Math.floor(u), top = Math.floor(v), a = u - left, b = v - top;
  const at = (x, y) => values[(clamp(0, y, height - 1) * width + ((x + width) % width)) * channels + channel];
  const line = (y) => at(left, y) * (1 - a) + at(left + 1, y) * a;
  return line(top) * (1 - b) + line(top + 1) * b;
}

// Of each pixel of a panorama what views see: their numbers, trust, the logarithm of distance over depth, and `of` one
// of all views' fields.
function* seen(rows) {
  const grid = panoramaOf({ height: rows, width: 2 * rows });
  for (let at = 0; at < 2 * rows ** 2; at++) {
    const ray = onRay(grid, [at % (2 * rows), Math.floor(at / 2 / rows)], 1);
    const level = Math.hypot(ray[0], ray[2]);
    yield VIEWS.flatMap((axes, number) => {
      const [x, y, z] = axes.map((axis) => dot(axis, ray)), trust = 1 - Math.max(Math.abs(x), Math.abs(y)) / z;
      const along = (share, side) => clamp(0, ((share / z + 1) * side - 1) / 2, side - 1);
      return z > 0 && trust > 0 ? { number, level, trust, far: -Math.log(z),
        of: (fields) => sampled(fields[number], along(x, fields[number].width), along(y, fields[number].height)) } : [];
    });
  }
}

// A view as a photograph of `side` pixels.
/** @param {any} picture @param {any} view @param {any} side */
function taken(picture, [right, down, ahead], side) {
  const values = new Uint8ClampedArray(4 * side * side), lens = lensOf(panoramaOf(picture)), middle = (side - 1) / 2, focal = side / 2;
  for (let at = 0; at < values.length; at++) {
    const pixel = at >> 2, x = (pixel % side - middle) / focal, y = (Math.floor(pixel / side) - middle) / focal;
    values[at] = sampled(picture, ...lens.pixel(ahead.map((each, axis) => each + x * right[axis] + y * down[axis])), 4, at % 4);
  }
  return { height: side, width: side, values, camera: { fx: focal, fy: focal, cx: middle, cy: middle, source: "given" } };
}

// Answers to all views as one: a factor a view, and one power to which the network contracts depth, by least absolute
// differences where views overlap. Metres stay metres.
export function together(answers, rows) {
  const middles = answers.map(({ depth }) => Math.log(quantile(depth.values, 0.5))), pairs = [];
  const logs = answers.map(({ depth }, view) => ({ ...depth, values: depth.values.map((each) => Math.log(each) - middles[view]) }));
  for (const views of seen(COARSE_ROWS)) {
    views.forEach((one, first) => views.slice(first + 1).forEach((other) => {
      const near = one.of(logs), depth = other.of(logs), far = other.far - one.far;
      pairs.push({ one: one.number, other: other.number, far, difference: depth - near, trust: one.level * Math.min(one.trust, other.trust),
        features: [[one.number, -1], [other.number, 1], ...(near < 0 && depth < 0 ? [[VIEWS.length, far]] : [])] });
    }));
  }
  const numbers = [...middles, 1];
  let power = 1;
  for (let round = 0; round < ROUNDS; round++) {
    const sums = numbers.map(() => [0, 1e-9]);
    for (const { one, other, far, difference, trust, features } of pairs) {
      const miss = numbers[other] - numbers[one] + difference + power * far, weight = trust / Math.max(Math.abs(miss), LEAST);
      for (const [at, feature] of features) {
        sums[at][0] += weight * feature * miss;
        sums[at][1] += weight * feature ** 2;
      }
    }
    sums.forEach(([sum, weight], at) => { numbers[at] -= sum / weight / 2; });
    power = numbers[VIEWS.length] = clamp(POWER, numbers[VIEWS.length], 1);
  }
  const usual = quantile(middles.map((each, view) => each - numbers[view] / power), 0.5);
  const skies = answers.map(({ sky }) => sky), make = () => ({ height: rows, width: 2 * rows, values: new Float32Array(2 * rows ** 2) });
  const depth = make(), sky = skies[0] && make();
  let pixel = 0;
  for (const views of seen(rows)) {
    const total = views.reduce((sum, { trust }) => sum + trust, 0);
    const mean = (value) => views.reduce((sum, view) => sum + (view.trust / total) * value(view), 0);
    depth.values[pixel] = Math.exp(usual + mean(({ number, far, of }) => (of(logs) + numbers[number]) / power + far));
    if (sky) sky.values[pixel] = mean(({ of }) => of(skies));
    pixel++;
  }
  return { depth, sky };
}

// What a network whose answer is depth answers for a panorama; `tell` hears of each view.
export async function throughViews(network, picture, tell) {
  const camera = panoramaOf(picture), side = Math.min(SIDE, Math.ceil(2 * camera.fx)), factor = Math.floor((2 * camera.fx) / side) || 1;
  const small = shrunk(picture, [picture.height, picture.width].map((each) => Math.floor(each / factor))), answers = [];
  for (const view of VIEWS) {
    answers.push(await network.infer(taken(small, view, side)));
    tell(answers.length, VIEWS.length);
  }
  return { ...together(answers, Math.min(MOST_ROWS, picture.height)), camera };
}
