// The ground beside the sky as pictures of depth draw it: rilievo.io.skyline.

const BAND = 0.016, SIDE = 320, BEYOND = 2;

// A prediction whose band of depth beside the sky continues the ground inside, where this is nearer. `number` gives
// the drawn number of one of depth, and of a drawn number that of depth: 1/z, -z or z.
export function upToSky(prediction, number) {
  const { depth, valid, sky, height, width } = prediction;
  if (!sky?.some(Boolean)) return prediction;
  const step = Math.ceil(Math.max(height, width) / SIDE), first = step >> 1;
  const [rows, columns] = [height, width].map((length) => Math.ceil((length - first) / step));
  const cells = Uint32Array.from({ length: rows * columns }, (_, cell) => (first + Math.floor(cell / columns) * step) * width + first + (cell % columns) * step);
  const ground = Uint8Array.from(cells, (at) => (!sky[at] && (!valid || valid[at]) ? 1 : 0));
  const band = Math.max(1, Math.round(BAND * Math.hypot(rows, columns)));
  let near = Uint8Array.from(cells, (at) => (sky[at] ? 1 : 0));
  for (const beside of [(cell) => [cell - columns, cell + columns], (cell) => [cell % columns ? cell - 1 : -1, (cell + 1) % columns ? cell + 1 : -1]]) {
    for (let round = 0; round < band; round++) {
      const from = near;
      near = from.map((own, cell) => own || (beside(cell).some((next) => from[next]) ? 1 : 0));
    }
  }
  const inside = ground.map((own, cell) => (own && !near[cell] ? 1 : 0));
  let values = Float32Array.from(cells, (at, cell) => (inside[cell] ? number(depth[at]) : NaN));
  for (let round = 0; round < band + BEYOND; round++) {
    const from = values;
    values = from.map((own, cell) => {
      if (!Number.isNaN(own) || (round < band && !ground[cell])) return own;
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
    const cell = Math.min(rows - 1, Math.floor(at / width / step)) * columns + Math.min(columns - 1, Math.floor((at % width) / step));
    return !inside[cell] && !sky[at] && (!valid || valid[at]) && values[cell] > number(own) ? number(values[cell]) : own;
  }) };
}
