// Pictures for two eyes from a photograph and its depth: rilievo.io.outputs.stereo, which explains them.

import { clamp } from "relief";
import { colourRange, drawn } from "./colour.js";
import { stem } from "./facts.js";
import { canvasOf } from "./photograph.js";

const STRENGTH = 0.03, CONVERGENCE = 0.5, STEP = 1.5, ENDINGS = { side: ".stereo.png", anaglyph: ".anaglyph.png" };

// Column of each pixel in the left eye's picture minus that in the right's; large is near.
function parallaxOf(prediction) {
  const { depth, valid, width, kind } = prediction, { low, high } = colourRange(prediction), number = drawn(kind);
  return depth.map((each, at) => {
    const nearness = valid && !valid[at] ? 0 : clamp(0, (number(each) - low) / (high - low), 1);
    return high > low ? (nearness - CONVERGENCE) * STRENGTH * width : 0;
  });
}

// Parallax seen at each pixel of a row of an eye's picture; NaN where it is not known.
function movedRow(parallax, side) {
  const width = parallax.length, moved = new Float32Array(width).fill(NaN);
  parallax.forEach((amount, column) => {
    const target = Math.floor(column + amount * side + 0.5);
    if (target >= 0 && target < width && !(amount < moved[target])) moved[target] = amount;
  });
  // Slopes are stretched: a pixel between two of the same surface gets their mean.
  return moved.map((each, at) => {
    const isGap = Number.isNaN(each) && Math.abs(moved[at - 1] - moved[at + 1]) <= 2 * STEP;
    return isGap ? (moved[at - 1] + moved[at + 1]) / 2 : each;
  });
}

// For each pixel of a row the one whose colour it gets: its own, or one of the background.
function filling(moved) {
  const width = moved.length, known = (at) => !Number.isNaN(moved[at]), right = new Int32Array(width);
  for (let at = width - 1, next = width; at >= 0; at--) right[at] = next = known(at) ? at : next;
  let left = -1;
  return Int32Array.from(moved, (_, at) => {
    if (known(at)) return (left = at);
    const [before, after] = [left >= 0 ? moved[left] : Infinity, right[at] < width ? moved[right[at]] : Infinity];
    const edge = clamp(0, before <= after ? left : right[at], width - 1);
    const mirrored = clamp(0, 2 * edge - at, width - 1);
    return known(mirrored) && Math.abs(moved[mirrored] - moved[edge]) <= 2 * STEP ? mirrored : edge;
  });
}

// One eye's picture, written into `values` from column `start` of rows `whole` wide, in the channels
// from `first` to `last`.
function seenBy({ height, width, values: pixels }, parallax, side, { values, whole, start, channels }) {
  const colour = new Float32Array(3 * width);
  for (let row = 0; row < height; row++) {
    const own = parallax.subarray(row * width, (row + 1) * width), moved = movedRow(own, side);
    for (let column = 0; column < width; column++) {
      const from = clamp(0, column - (moved[column] || 0) * side, width - 1);
      const first = Math.min(Math.trunc(from), width - 2), torn = Math.abs(own[first] - own[first + 1]) > STEP;
      const part = torn ? Math.round(from - first) : from - first, at = 4 * (row * width + first);
      for (const each of channels) colour[3 * column + each] = Math.round(pixels[at + each] * (1 - part) + pixels[at + 4 + each] * part);
    }
    filling(moved).forEach((source, column) => {
      const to = 4 * (row * whole + start + column);
      for (const each of channels) values[to + each] = colour[3 * source + each];
      values[to + 3] = 255;
    });
  }
}

// Side by side, or an anaglyph for red and cyan glasses.
export async function stereo(prediction, layout) {
  const { photo, height, width, name } = prediction, parallax = parallaxOf(prediction), isPair = layout === "side";
  const whole = isPair ? 2 * width : width, values = new Uint8ClampedArray(4 * whole * height), all = [0, 1, 2];
  seenBy(photo, parallax, 0.5, { values, whole, start: 0, channels: isPair ? all : [0] });
  seenBy(photo, parallax, -0.5, { values, whole, start: isPair ? width : 0, channels: isPair ? all : [1, 2] });
  return { name: `${stem(name)}${ENDINGS[layout]}`, blob: await canvasOf({ height, width: whole, values }).convertToBlob({ type: "image/png" }) };
}
