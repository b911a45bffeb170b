// Every so many-th pixel of a photograph as a cell of a coarser grid: the masks of rilievo.io.outputs.skyline.

// { rows, columns }, the pixel of each cell, the cell of each pixel, and the cells above and below one and beside it.
export function gridIn({ height, width }, step) {
  const first = step >> 1, [rows, columns] = [height, width].map((length) => Math.ceil((length - first) / step));
  const place = (length, at) => Math.min(Math.floor(at / step), length - 1);
  return { rows, columns, pixels: Uint32Array.from({ length: rows * columns }, (_, cell) => (first + Math.floor(cell / columns) * step) * width + first + (cell % columns) * step),
    cellOf: (pixel) => place(rows, pixel / width) * columns + place(columns, pixel % width),
    ends: [(cell) => [cell - columns, cell + columns], (cell) => [cell % columns ? cell - 1 : cell, (cell + 1) % columns ? cell + 1 : cell]] };
}

// The largest value up to `reach` rows and columns away from each cell.
export function largestAround(field, { ends }, reach) {
  for (const beside of ends) {
    for (let round = 0; round < reach; round++) {
      const from = field;
      field = from.map((own, cell) => { const [a, b] = beside(cell); return Math.max(own, from[a] ?? 0, from[b] ?? 0); });
    }
  }
  return field;
}
