// Every so many-th pixel of a photograph as a cell of a coarser grid: the masks of rilievo.io.outputs.grid.

/**
 * @typedef {object} CoarseGrid
 * @property {number} rows
 * @property {number} columns
 * @property {Uint32Array} pixels The pixel that each cell samples.
 * @property {(pixel: number) => number} cellOf The cell in which a pixel lies.
 * @property {((cell: number) => number[])[]} neighboursOf Give the cells above and below a cell, which may lie outside
 *   of the grid, and those left and right of it, which at the border are the cell itself.
 */

/**
 * The grid of every step-th row and column.
 * @param {{height: number, width: number}} photo
 * @param {number} step
 * @returns {CoarseGrid}
 */
export function gridIn({ height, width }, step) {
  const first = step >> 1;
  const rows = Math.ceil((height - first) / step);
  const columns = Math.ceil((width - first) / step);
  const pixelOf = (cell) => {
    const row = first + Math.floor(cell / columns) * step;
    return row * width + first + (cell % columns) * step;
  };
  const cellAlong = (count, position) => Math.min(Math.floor(position / step), count - 1);
  return {
    rows,
    columns,
    pixels: Uint32Array.from({ length: rows * columns }, (_, cell) => pixelOf(cell)),
    cellOf: (pixel) => cellAlong(rows, pixel / width) * columns + cellAlong(columns, pixel % width),
    neighboursOf: [
      (cell) => [cell - columns, cell + columns],
      (cell) => [cell % columns ? cell - 1 : cell, (cell + 1) % columns ? cell + 1 : cell],
    ],
  };
}

/**
 * The largest value of a field in the square around each cell that extends by `radius` cells to each side.
 * @template {Float32Array | Uint8Array} T
 * @param {T} field
 * @param {{rows: number, columns: number}} grid
 * @param {number} radius
 * @param {number} outside Value beyond the border.
 * @returns {T}
 */
export function squareMaxima(field, { rows, columns }, radius, outside = 0) {
  // Of lines of cells: how many, from one to the next, cells of each, and from one cell to the next.
  const along = { lines: rows, nextLine: columns, length: columns, nextCell: 1 };
  const down = { lines: columns, nextLine: 1, length: rows, nextCell: columns };
  return lineMaxima(lineMaxima(field, along, radius, outside), down, radius, outside);
}

function lineMaxima(field, { lines, nextLine, length, nextCell }, radius, outside) {
  const result = field.slice();
  const padded = new field.constructor(length + 2 * radius);
  for (let start = 0; start < lines * nextLine; start += nextLine) {
    padded.fill(outside);
    for (let index = 0; index < length; index++) padded[radius + index] = field[start + index * nextCell];
    slideMaxima(padded, 2 * radius + 1);
    for (let index = 0; index < length; index++) result[start + index * nextCell] = padded[index];
  }
  return result;
}

// Replaces each value by the largest of the `width` values from it on.
function slideMaxima(values, width) {
  let end = values.length;
  let covered = 1;
  // Each round covers twice as many values, so few rounds suffice.
  while (covered < width) {
    const step = Math.min(covered, width - covered);
    covered += step;
    end -= step;
    for (let index = 0; index < end; index++) values[index] = Math.max(values[index], values[index + step]);
  }
}
