// The network's sky up to the edge that depth has: rilievo.io.outputs.sky.

import { gridIn, largestAround } from "./grid.js";

const RIM = 1 / 80, WIDTHS = 1, AS_FAR = 0.15, BEFORE = 2, RAMP = 4, STEEP = 1.08, FINE = 640;

export function skyToEdges(prediction) {
  const { depth, valid, sky, height, width } = prediction, has = (pixel) => !valid || valid[pixel];
  const grid = gridIn(prediction, Math.max(1, Math.floor(Math.max(height, width) / FINE))), { rows, columns, pixels, cellOf, ends } = grid;
  const inverse = Float32Array.from(pixels, (pixel) => (has(pixel) ? 1 / depth[pixel] : 0));
  const some = Uint8Array.from(pixels, (pixel) => sky[pixel]), far = inverse.filter((each, at) => each && some[at]);
  if (!far.length) return sky;
  const beside = (at, test) => ends.some((next) => next(at).some(test));
  const reach = Math.max(1, Math.round(RIM * Math.max(rows, columns))), middle = far.sort()[far.length >> 1], nearest = largestAround(inverse, grid, reach);
  const isRim = (at) => inverse[at] * BEFORE < nearest[at] && inverse[at] * AS_FAR < middle;
  const isSteep = (at) => beside(at, (next) => inverse[next] > inverse[at] * STEEP);
  let grown = some;
  for (const [rounds, isNext] of /** @type {[number, (at: number) => boolean][]} */ ([[WIDTHS * reach, isRim], [RAMP, isSteep]])) {
    for (let round = 0; round < rounds; round++) {
      const from = grown;
      grown = from.map((own, at) => (own || (inverse[at] && beside(at, (next) => from[next]) && isNext(at)) ? 1 : 0));
    }
  }
  return sky.map((own, pixel) => {
    const at = cellOf(pixel);
    return own || (grown[at] && !some[at] && has(pixel)) ? 1 : 0;
  });
}
