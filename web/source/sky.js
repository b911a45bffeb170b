// The network's sky up to the edge that depth has: rilievo.io.outputs.dropping.

const RIM = 1 / 80, WIDTHS = 1, AS_FAR = 0.15, BEFORE = 2, RAMP = 4, STEEP = 1.08, FINE = 640;

export function skyToEdges({ depth, valid, sky, height, width }) {
  const step = Math.max(1, Math.floor(Math.max(height, width) / FINE)), first = step >> 1;
  const [rows, columns] = [height, width].map((length) => Math.ceil((length - first) / step));
  const pixels = Uint32Array.from({ length: rows * columns },
    (_, at) => (first + Math.floor(at / columns) * step) * width + first + (at % columns) * step);
  const inverse = Float32Array.from(pixels, (pixel) => (!valid || valid[pixel] ? 1 / depth[pixel] : 0));
  const some = Uint8Array.from(pixels, (pixel) => sky[pixel]), far = inverse.filter((each, at) => each && some[at]);
  if (!far.length) return sky;
  far.sort();
  const across = (at) => [at % columns ? at - 1 : at, (at + 1) % columns ? at + 1 : at], down = (at) => [at - columns, at + columns];
  const beside = (at, test) => across(at).some(test) || down(at).some(test);
  const reach = Math.max(1, Math.round(RIM * Math.max(rows, columns))), middle = (far[(far.length - 1) >> 1] + far[far.length >> 1]) / 2;
  let nearest = inverse;
  for (const ends of [across, down]) {
    for (let round = 0; round < reach; round++) {
      const from = nearest;
      nearest = from.map((own, at) => { const [a, b] = ends(at); return Math.max(own, from[a] ?? 0, from[b] ?? 0); });
    }
  }
  const isRim = (at) => inverse[at] * BEFORE < nearest[at] && inverse[at] * AS_FAR < middle;
  const isSteep = (at) => beside(at, (next) => inverse[next] > inverse[at] * STEEP);
  let grown = some;
  for (const [rounds, isNext] of [[WIDTHS * reach, isRim], [RAMP, isSteep]]) {
    for (let round = 0; round < rounds; round++) {
      const from = grown;
      grown = from.map((own, at) => (own || (inverse[at] && beside(at, (next) => from[next]) && isNext(at)) ? 1 : 0));
    }
  }
  return sky.map((own, pixel) => {
    const row = Math.min(Math.floor(pixel / width / step), rows - 1);
    const at = row * columns + Math.min(Math.floor((pixel % width) / step), columns - 1);
    return own || (grown[at] && !some[at] && (!valid || valid[pixel])) ? 1 : 0;
  });
}
