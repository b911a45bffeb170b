// The sky, and the ground beside it, as pictures of depth draw them: rilievo.io.outputs.skyline.

import { gridIn, largestAround } from "./grid.js";

const BAND = 0.016, SIDE = 320, BEYOND = 2;
const FINE = 640, OBJECT = 1 / 32, SMALLEST = 1 / 48, NEARER = Math.fround(0.06), CLEARLY_NEARER = Math.fround(0.12);

// The sky that pictures colour: the network's, without the narrow objects before it that depth shows. `number` is as
// in upToSky, and 0 has a meaning if the values are depth.
export function skyBehindObjects(prediction, number, isDepth) {
  const { depth, valid, sky, height, width } = prediction, has = (pixel) => !valid || valid[pixel];
  const grid = gridIn(prediction, Math.max(1, Math.floor(Math.max(height, width) / FINE))), { rows, columns, pixels, cellOf, ends } = grid;
  if (!sky || !pixels.some((pixel) => sky[pixel] && has(pixel))) return sky;
  const side = Math.max(rows, columns), coarse = Float32Array.from(pixels, (pixel) => number(depth[pixel]));
  const around = levelPeaks(coarse.map((own, cell) => (has(pixels[cell]) ? own : -Infinity)), grid, Math.max(1, Math.floor(OBJECT * side)));
  const contrast = isDepth ? null : contrastToSky(coarse, pixels, prediction);
  const limit = (cell, share) => Math.fround(share * (contrast ?? around[cell]));
  const isNearer = (cell, share) => sky[pixels[cell]] && has(pixels[cell]) && Math.fround(coarse[cell] - around[cell]) > limit(cell, share);
  const objects = patchesWithSeed(coarse.map((_, cell) => (isNearer(cell, NEARER) ? 1 : 0)), (cell) => isNearer(cell, CLEARLY_NEARER), grid, SMALLEST * side);
  const isNear = objects.map((own, cell) => (own || ends.some((next) => next(cell).some((beside) => objects[beside])) ? 1 : 0));
  return sky.map((own, pixel) => {
    const cell = cellOf(pixel);
    if (!own || !isNear[cell] || !has(pixel)) return own;
    return Math.fround(number(depth[pixel])) > Math.fround(around[cell] + limit(cell, NEARER)) ? 0 : own;
  });
}

// A field without what is greater than both sides and narrower than twice `reach` (an opening); -Infinity is no value.
function levelPeaks(field, { rows, columns }, reach) {
  const wide = { rows: rows + 2 * reach, columns: columns + 2 * reach };
  const placeOf = (cell) => (Math.floor(cell / columns) + reach) * wide.columns + cell % columns + reach;
  const negative = new Float32Array(wide.rows * wide.columns).fill(-Infinity);
  field.forEach((own, cell) => { if (own > -Infinity) negative[placeOf(cell)] = -own; });
  const least = largestAround(negative, wide, reach, -Infinity).map((own) => (own > -Infinity ? -own : own));
  const level = largestAround(least, wide, reach, -Infinity);
  return field.map((_, cell) => level[placeOf(cell)]);
}

// The difference between the medians of ground and sky; infinite without ground before it.
function contrastToSky(coarse, pixels, { valid, sky }) {
  const medianOf = (isSky) => {
    const some = coarse.filter((_, cell) => Boolean(sky[pixels[cell]]) === isSky && (!valid || valid[pixels[cell]])).sort(), half = some.length >> 1;
    return some.length % 2 ? some[half] : Math.fround((some[half - 1] + some[half]) / 2);
  };
  const contrast = Math.fround(medianOf(false) - medianOf(true));
  return contrast > 0 ? contrast : Infinity;
}

// Connected patches of what is chosen, as large as a square of this side, that contain a seed.
function patchesWithSeed(chosen, isSeed, { ends }, side) {
  const seen = new Uint8Array(chosen.length), kept = new Uint8Array(chosen.length);
  for (let start = 0; start < chosen.length; start++) {
    if (!chosen[start] || seen[start]) continue;
    const patch = [start];
    seen[start] = 1;
    for (let at = 0; at < patch.length; at++) {
      for (const beside of ends.flatMap((next) => next(patch[at]))) {
        if (!chosen[beside] || seen[beside]) continue;
        seen[beside] = 1;
        patch.push(beside);
      }
    }
    if (patch.length >= side ** 2 && patch.some(isSeed)) for (const cell of patch) kept[cell] = 1;
  }
  return kept;
}

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
