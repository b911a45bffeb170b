// The network's sky up to the edge that depth has, as surfaces leave it out: rilievo.io.outputs.dropping.

const RIM = 1 / 80, WIDTHS = 3, AS_FAR = 0.15, BEFORE = 2, RAMP = 4, STEEP = 1.08, FINE = 640;

// The largest value up to `reach` pixels away along rows (`next` 1) or columns (`next` their length).
function largestAlong(values, { rows, columns }, next, reach) {
  const length = next === 1 ? columns : rows, large = new Float32Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const place = next === 1 ? at % columns : Math.floor(at / columns);
    for (let off = -Math.min(reach, place); off <= Math.min(reach, length - 1 - place); off++) {
      large[at] = Math.max(large[at], values[at + off * next]);
    }
  }
  return large;
}

// Whether `test` holds for a neighbour in the row or the column.
function anyBeside(at, { rows, columns }, test) {
  const row = Math.floor(at / columns), column = at % columns;
  return (row > 0 && test(at - columns)) || (row < rows - 1 && test(at + columns))
    || (column > 0 && test(at - 1)) || (column < columns - 1 && test(at + 1));
}

export function skyToEdges({ depth, valid, sky, height, width }) {
  const step = Math.max(1, Math.floor(Math.max(height, width) / FINE)), first = step >> 1;
  const rows = Math.ceil((height - first) / step), columns = Math.ceil((width - first) / step), grid = { rows, columns };
  const grown = new Uint8Array(rows * columns), inverse = new Float32Array(rows * columns), far = [];
  for (let at = 0; at < grown.length; at++) {
    const pixel = (first + Math.floor(at / columns) * step) * width + first + (at % columns) * step;
    inverse[at] = !valid || valid[pixel] ? 1 / depth[pixel] : 0;
    grown[at] = sky[pixel];
    if (sky[pixel] && inverse[at]) far.push(inverse[at]);
  }
  if (!far.length) return sky;
  far.sort((a, b) => a - b);
  const half = far.length >> 1, middle = far.length % 2 ? far[half] : (far[half - 1] + far[half]) / 2;
  const some = grown.slice(), reach = Math.max(1, Math.round(RIM * Math.max(rows, columns)));
  const nearest = largestAlong(largestAlong(inverse, grid, 1, reach), grid, columns, reach);
  const isRim = (at) => inverse[at] * BEFORE < nearest[at] && inverse[at] * AS_FAR < middle;
  const isSteep = (at) => anyBeside(at, grid, (next) => inverse[next] > inverse[at] * STEEP);
  for (const [rounds, chosen] of [[WIDTHS * reach, isRim], [RAMP, isSteep]]) {
    for (let round = 0, more = [0]; round < rounds && more.length; round++) {
      more = [];
      for (let at = 0; at < grown.length; at++) {
        if (!grown[at] && inverse[at] && anyBeside(at, grid, (next) => grown[next]) && chosen(at)) more.push(at);
      }
      for (const at of more) grown[at] = 1;
    }
  }
  return sky.map((each, pixel) => {
    const row = Math.min(Math.floor(pixel / width / step), rows - 1), column = Math.min(Math.floor((pixel % width) / step), columns - 1);
    const at = row * columns + column;
    return each || (grown[at] && !some[at] && (!valid || valid[pixel])) ? 1 : 0;
  });
}
