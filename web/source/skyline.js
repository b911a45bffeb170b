// The ground beside the sky as pictures of depth draw it: rilievo.io.outputs.skyline.

import { gridIn, largestAround } from "./grid.js";

const BAND = 0.016, SIDE = 320, BEYOND = 2;

// A prediction whose band of depth beside the sky continues the ground inside, where this is nearer. `number` gives
// the drawn number of one of depth, and of a drawn number that of depth: 1/z, -z or z.
export function upToSky(prediction, number) {
  const { depth, valid, sky, height, width } = prediction, isGround = (at) => !sky[at] && (!valid || valid[at]);
  if (!sky?.some(Boolean)) return prediction;
  const grid = gridIn(prediction, Math.ceil(Math.max(height, width) / SIDE)), { rows, columns, pixels, cellOf } = grid;
  const band = Math.max(1, Math.round(BAND * Math.hypot(rows, columns)));
  const near = largestAround(Uint8Array.from(pixels, (at) => (sky[at] ? 1 : 0)), grid, band);
  const inside = Uint8Array.from(pixels, (at, cell) => (isGround(at) && !near[cell] ? 1 : 0));
  let values = Float32Array.from(pixels, (at, cell) => (inside[cell] ? number(depth[at]) : NaN));
  for (let round = 0; round < band + BEYOND; round++) {
    const from = values;
    values = from.map((own, cell) => {
      if (!Number.isNaN(own) || (round < band && !isGround(pixels[cell]))) return own;
      const column = cell % columns;
      let sum = 0, count = 0;
      for (let down = -columns; down <= columns; down += columns) {
        for (let along = column ? -1 : 0; along <= (column < columns - 1 ? 1 : 0); along++) {
          const beside = from[cell + down + along];
          if (beside > -Infinity) [sum, count] = [sum + beside, count + 1];
        }
      }
      return count ? sum / count : NaN;
    });
  }
  return { ...prediction, depth: depth.map((own, at) => {
    const cell = cellOf(at);
    return !inside[cell] && isGround(at) && values[cell] > number(own) ? number(values[cell]) : own;
  }) };
}
