// Pictures for two eyes from a photograph and its depth: rilievo.io.outputs.formats.stereo, which explains them.

import { clamp } from "relief";
import { colourRange, pictureQuantity } from "./colour.js";
import { stem } from "./facts.js";
import { canvasOf } from "./photograph.js";

// Parallax between the nearest and the farthest point, as a share of the width.
const STRENGTH = 0.03;
// Nearness, 0 to 1, of what lies in the plane of the screen.
const CONVERGENCE = 0.5;
// Largest step of parallax [px] between neighbouring pixels of the same surface.
const MAX_SURFACE_STEP = 1.5;
const ENDINGS = { side: ".stereo.png", anaglyph: ".anaglyph.png" };
const RED = [0];
const CYAN = [1, 2];
const ALL_CHANNELS = [0, 1, 2];

/**
 * Make a stereo picture of a prediction.
 * @param {any} prediction
 * @param {string} layout "side" for two pictures side by side, "anaglyph" for glasses of red and cyan.
 */
export async function stereo(prediction, layout) {
  const { photo, height, width, name } = prediction;
  const isPair = layout === "side";
  const parallax = parallaxOf(prediction);
  const canvasWidth = isPair ? 2 * width : width;
  const values = new Uint8ClampedArray(4 * canvasWidth * height);
  const target = { values, width: canvasWidth };
  if (isPair) {
    drawEye(photo, parallax, 0.5, { ...target, firstColumn: 0, channels: ALL_CHANNELS });
    drawEye(photo, parallax, -0.5, { ...target, firstColumn: width, channels: ALL_CHANNELS });
  } else {
    drawEye(photo, parallax, 0.5, { ...target, firstColumn: 0, channels: RED });
    drawEye(photo, parallax, -0.5, { ...target, firstColumn: 0, channels: CYAN });
  }
  const canvas = canvasOf({ height, width: canvasWidth, values });
  return { name: `${stem(name)}${ENDINGS[layout]}`, blob: await canvas.convertToBlob({ type: "image/png" }) };
}

// Column of each pixel in the left eye's picture minus that in the right eye's; large is near.
function parallaxOf(prediction) {
  const { depth, valid, width, kind } = prediction;
  const { low, high } = colourRange(prediction);
  const quantityOf = pictureQuantity(kind);
  return depth.map((value, pixel) => {
    if (!(high > low)) return 0;
    const isValid = !valid || valid[pixel];
    const nearness = isValid ? clamp(0, (quantityOf(value) - low) / (high - low), 1) : 0;
    return (nearness - CONVERGENCE) * STRENGTH * width;
  });
}

// Draws the picture of one eye into some channels of a target. `side` is 0.5 for the left eye, -0.5 for the right one.
function drawEye({ height, width, values: pixels }, parallax, side, target) {
  const colours = new Float32Array(3 * width);
  for (let row = 0; row < height; row++) {
    const rowParallax = parallax.subarray(row * width, (row + 1) * width);
    const eyeParallax = moveToEye(rowParallax, side);
    for (let column = 0; column < width; column++) {
      const source = clamp(0, column - (eyeParallax[column] || 0) * side, width - 1);
      const left = Math.min(Math.trunc(source), width - 2);
      const isTorn = Math.abs(rowParallax[left] - rowParallax[left + 1]) > MAX_SURFACE_STEP;
      // Colours of two surfaces are not mixed.
      const fraction = isTorn ? Math.round(source - left) : source - left;
      const from = 4 * (row * width + left);
      for (const channel of target.channels) {
        const mixed = pixels[from + channel] * (1 - fraction) + pixels[from + 4 + channel] * fraction;
        colours[3 * column + channel] = Math.round(mixed);
      }
    }
    colourColumns(eyeParallax).forEach((source, column) => {
      const to = 4 * (row * target.width + target.firstColumn + column);
      for (const channel of target.channels) target.values[to + channel] = colours[3 * source + channel];
      target.values[to + 3] = 255;
    });
  }
}

// Parallax of each pixel of a row of an eye's picture; NaN where nothing of the photograph lies.
function moveToEye(parallax, side) {
  const width = parallax.length;
  const moved = new Float32Array(width).fill(NaN);
  parallax.forEach((amount, column) => {
    const target = Math.floor(column + amount * side + 0.5);
    if (target >= 0 && target < width && !(amount < moved[target])) moved[target] = amount;
  });
  // Slopes are stretched, so a pixel between two of the same surface gets their mean.
  return moved.map((amount, column) => {
    const before = moved[column - 1];
    const after = moved[column + 1];
    const isGap = Number.isNaN(amount) && Math.abs(before - after) <= 2 * MAX_SURFACE_STEP;
    return isGap ? (before + after) / 2 : amount;
  });
}

// For each pixel of a row the one whose colour it gets: its own, or one of the background, mirrored at its edge.
function colourColumns(eyeParallax) {
  const width = eyeParallax.length;
  const isKnown = (column) => !Number.isNaN(eyeParallax[column]);
  const nextKnown = new Int32Array(width);
  let next = width;
  for (let column = width - 1; column >= 0; column--) {
    if (isKnown(column)) next = column;
    nextKnown[column] = next;
  }

  let lastKnown = -1;
  return Int32Array.from(eyeParallax, (_, column) => {
    if (isKnown(column)) {
      lastKnown = column;
      return column;
    }
    const right = nextKnown[column];
    const leftParallax = lastKnown >= 0 ? eyeParallax[lastKnown] : Infinity;
    const rightParallax = right < width ? eyeParallax[right] : Infinity;
    // The background has the smaller parallax.
    const edge = clamp(0, leftParallax <= rightParallax ? lastKnown : right, width - 1);
    const mirrored = clamp(0, 2 * edge - column, width - 1);
    const isSameSurface = isKnown(mirrored)
      && Math.abs(eyeParallax[mirrored] - eyeParallax[edge]) <= 2 * MAX_SURFACE_STEP;
    return isSameSurface ? mirrored : edge;
  });
}
