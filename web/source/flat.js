// Fewer triangles in flat parts: right triangles, halved only where necessary, as
// rilievo.geometry.surfaces.flat does and explains.

const SIDE = 64, SLIP = 0.5, STEEPEST = 1.1; // cells of the largest square; points of the lattice; a ratio

// 1/z on a grid that is whole squares large, its ends repeated.
function padded({ rows, columns, z }) {
  const height = Math.ceil((rows - 1) / SIDE) * SIDE + 1, width = Math.ceil((columns - 1) / SIDE) * SIDE + 1;
  const values = new Float32Array(height * width);
  for (let row = 0; row < height; row++) {
    const from = Math.min(row, rows - 1) * columns;
    for (let column = 0; column < width; column++) {
      values[row * width + column] = 1 / z[from + Math.min(column, columns - 1)];
    }
  }
  return { height, width, values };
}

// Infinite errors of points that must stay, so that torn cells and those beside the lattice are not
// merged; those of the last halving alone, to which `addErrors` adds those above them.
function kept(whole, { rows, columns }, { height, width }) {
  const error = new Float32Array(height * width);
  const torn = (row, column) => row < rows && column < columns
    && (row === rows - 1 || column === columns - 1 || !whole[row * (columns - 1) + column]);
  for (let row = 0; row < height - 1; row++) {
    for (let column = 0; column < width - 1; column++) {
      if (!torn(row, column)) continue;
      for (const [y, x] of [[row, column], [row, column + 1], [row + 1, column], [row + 1, column + 1]]) {
        if ((y + x) % 2) error[y * width + x] = Infinity;
      }
    }
  }
  return error;
}

// Raises the error of each point to that of the triangles it halves and of their halves.
function addErrors(error, { height, width, values }, tolerance) {
  for (let side = 2; side <= SIDE; side *= 2) {
    const half = side / 2, quarter = half / 2, slip = ((tolerance / SLIP) * side) / 2;
    const relative = (middle, first, second) => {
      const together = values[first] + values[second];
      const bend = Math.abs(together / 2 - values[middle]) / values[middle];
      return Math.max(bend, (slip * Math.abs(values[first] - values[second])) / together);
    };
    // The middles of the sides of squares, upright or lying, and the centres beside them.
    const middles = (down, right) => {
      for (let row = down ? half : 0; row < height; row += side) {
        for (let column = right ? half : 0; column < width; column += side) {
          const at = row * width + column, reach = down ? half * width : half;
          let most = Math.max(error[at], relative(at, at - reach, at + reach));
          for (const y of half > 1 ? [row - quarter, row + quarter] : []) {
            for (const x of [column - quarter, column + quarter]) {
              if (y >= 0 && y < height && x >= 0 && x < width) most = Math.max(most, error[y * width + x]);
            }
          }
          error[at] = most;
        }
      }
    };
    middles(false, true);
    middles(true, false);
    for (let row = half; row < height; row += side) {
      for (let column = half; column < width; column += side) {
        const at = row * width + column, even = ((row - half + column - half) / side) % 2 === 0;
        const reach = even ? half * width + half : half * width - half;
        error[at] = Math.max(error[at], relative(at, at - reach, at + reach), error[at - half * width],
          error[at + half * width], error[at - half], error[at + half]);
      }
    }
  }
}

// Triangles (two ends of the long side, then the right angle): the larger ones, and those of three
// neighbouring points.
function split(error, { height, width }, tolerance) {
  let open = [];
  for (let row = 0; row < height - 1; row += SIDE) {
    for (let column = 0; column < width - 1; column += SIDE) {
      const a = row * width + column, b = a + SIDE, c = a + SIDE * width, d = c + SIDE;
      if (((row + column) / SIDE) % 2 === 0) open.push(d, a, c, a, d, b);
      else open.push(c, b, a, b, c, d);
    }
  }
  const large = [];
  for (let round = 0; round < 2 * Math.log2(SIDE); round++) {
    const next = [];
    for (let at = 0; at < open.length; at += 3) {
      const a = open[at], b = open[at + 1], c = open[at + 2], middle = (a + b) >> 1;
      if (error[middle] > tolerance) next.push(c, a, middle, b, c, middle);
      else large.push(a, b, c);
    }
    open = next;
  }
  return { large, single: open };
}

// Faces of a lattice without those of flat parts, and the triangles in their place.
export function merged(lattice, faces, tolerance) {
  const { rows, columns } = lattice, isGentle = (cell) => {
    const at = cell + Math.floor(cell / (columns - 1)), z = [0, 1, columns, columns + 1].map((next) => lattice.z[at + next]);
    return Math.max(...z) < STEEPEST * Math.min(...z);
  };
  const whole = faces.map((bits, cell) => ((bits & 6) === 6 && isGentle(cell) ? 1 : 0));
  const grid = padded(lattice), error = kept(whole, lattice, grid);
  addErrors(error, grid, tolerance);
  const { large, single } = split(error, grid, tolerance);
  const place = (at) => [Math.floor(at / grid.width), at % grid.width];
  // Those outside of the lattice are left out.
  const inside = (index, act) => {
    for (let at = 0; at < index.length; at += 3) {
      const corners = [place(index[at]), place(index[at + 1]), place(index[at + 2])];
      if (corners.every(([row, column]) => row < rows && column < columns)) act(corners);
    }
  };
  const number = ([row, column]) => row * columns + column, cellOf = (corners) =>
    Math.min(...corners.map(([row]) => row)) * (columns - 1) + Math.min(...corners.map(([, column]) => column));
  const index = [], alone = new Uint8Array(whole.length);
  inside(large, (corners) => index.push(...corners.map(number)));
  inside(single, (corners) => { alone[cellOf(corners)]++; });
  // If both triangles of a cell remain, those of `faces` are better: split along the edge.
  const replaced = whole.map((each, cell) => (each && alone[cell] < 2 ? 1 : 0));
  inside(single, (corners) => { if (replaced[cellOf(corners)]) index.push(...corners.map(number)); });
  return { faces: faces.map((bits, cell) => (replaced[cell] ? bits & 1 : bits)), index };
}
