// Every so many-th pixel of a photograph as a cell of a coarser grid: the masks of rilievo.io.outputs.grid.

// { rows, columns }, the pixel of each cell, the cell of each pixel, and the cells above and below one and beside it.
export function gridIn({ height, width }, step) {
  const first = step >> 1, [rows, columns] = [height, width].map((length) => Math.ceil((length - first) / step));
  const place = (length, at) => Math.min(Math.floor(at / step), length - 1);
  return { rows, columns, pixels: Uint32Array.from({ length: rows * columns }, (_, cell) => (first + Math.floor(cell / columns) * step) * width + first + (cell % columns) * step),
    cellOf: (pixel) => place(rows, pixel / width) * columns + place(columns, pixel % width),
    ends: [(cell) => [cell - columns, cell + columns], (cell) => [cell % columns ? cell - 1 : cell, (cell + 1) % columns ? cell + 1 : cell]] };
}

// The largest value up to `reach` rows and columns away from each cell; beyond the border is `beyond`.
export function largestAround(field, { rows, columns }, reach, beyond = 0) {
  for (const [lines, nextLine, length, nextCell] of [[rows, columns, columns, 1], [columns, 1, rows, columns]]) {
    const from = field, line = new field.constructor(length + 2 * reach);
    field = field.slice();
    for (let start = 0; start < lines * nextLine; start += nextLine) {
      line.fill(beyond);
      for (let at = 0; at < length; at++) line[reach + at] = from[start + at * nextCell];
      // Of twice as many cells after each round, so few rounds suffice.
      for (let seen = 1, end = line.length; seen < 2 * reach + 1;) {
        const step = Math.min(seen, 2 * reach + 1 - seen);
        seen += step;
        end -= step;
        for (let at = 0; at < end; at++) line[at] = Math.max(line[at], line[at + step]);
      }
      for (let at = 0; at < length; at++) field[start + at * nextCell] = line[at];
    }
  }
  return field;
}
