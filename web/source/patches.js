// Connected patches of a surface: small ones are removed, and small holes closed, as
// rilievo.geometry.surfaces.patches does.

const FEWEST = 6, ROUNDS = 64;

// The least point that each chosen point is joined to; -1 of the others. `beside(at)` and
// `below(at)` say whether a point is joined to the next of its row, and to the one under it.
function rootsOf(chosen, columns, beside, below) {
  const root = new Int32Array(chosen.length).fill(-1);
  function find(at) {
    while (root[at] !== at) {
      root[at] = root[root[at]];
      at = root[at];
    }
    return at;
  }
  function join(one, other) {
    const [first, second] = [find(one), find(other)];
    root[Math.max(first, second)] = Math.min(first, second);
  }
  for (let at = 0; at < chosen.length; at++) {
    if (!chosen[at]) continue;
    root[at] = at;
    if (at % columns && chosen[at - 1] && beside(at - 1)) join(at - 1, at);
    if (at >= columns && chosen[at - columns] && below(at - columns)) join(at - columns, at);
  }
  for (let at = 0; at < root.length; at++) if (root[at] >= 0) root[at] = find(at);
  return root;
}

function sizesOf(root) {
  const size = new Int32Array(root.length);
  for (const at of root) if (at >= 0) size[at]++;
  return size;
}

const small = (count, specks) => Math.max(Math.min(FEWEST, Math.floor(count / 1000)), Math.trunc(specks * count));

// `valid` without small patches; the largest is kept whatever its size.
export function withoutSpecks({ valid, columns }, specks, beside, below) {
  const root = rootsOf(valid, columns, beside, below), size = sizesOf(root);
  const limit = small(valid.length, specks);
  let largest = 0;
  for (let at = 1; at < size.length; at++) if (size[at] > size[largest]) largest = at;
  return valid.map((each, at) => (each && (size[root[at]] > limit || root[at] === largest) ? 1 : 0));
}

// A lattice with its small holes closed whose rim is one surface, by means of 1/z; not where the
// photograph is transparent.
export function closed(lattice, { specks, jump }) {
  const { rows, columns, valid, hollow } = lattice, z = lattice.z.map((each, at) => (valid[at] ? each : 1));
  const empty = valid.map((each) => (each ? 0 : 1)), always = () => true;
  const root = rootsOf(empty, columns, always, always), size = sizesOf(root);
  const limit = small(valid.length, specks), open = new Uint8Array(root.length);
  const border = (at) => at < columns || at >= (rows - 1) * columns || at % columns === 0 || at % columns === columns - 1;
  const near = new Float32Array(root.length).fill(Infinity), far = new Float32Array(root.length), around = (at) =>
    [at - columns, at + columns, at - 1, at + 1];
  root.forEach((hole, at) => {
    if (hole < 0) return;
    if (size[hole] > limit || border(at) || hollow?.[at]) { open[hole] = 1; return; }
    for (const side of around(at)) {
      if (!valid[side]) continue;
      near[hole] = Math.min(near[hole], z[side]);
      far[hole] = Math.max(far[hole], z[side]);
    }
  });
  const places = [];
  root.forEach((hole, at) => {
    if (hole >= 0 && !open[hole] && far[hole] <= near[hole] * (1 + jump)) places.push(at);
  });
  if (!places.length) return lattice;
  for (const at of places) z[at] = (near[root[at]] + far[root[at]]) / 2;
  for (let round = 0; round < ROUNDS; round++) {
    const next = places.map((at) => 4 / around(at).reduce((sum, side) => sum + 1 / z[side], 0));
    places.forEach((at, each) => { z[at] = next[each]; });
  }
  const filled = valid.slice();
  for (const at of places) filled[at] = 1;
  return { ...lattice, z, valid: filled };
}
