// Connected patches of a surface: small ones (specks) are removed, and small holes closed, as
// rilievo.geometry.surfaces.patches does.

// Points of a speck, whatever the share that the cut states. In a small lattice they are at most a thousandth of all.
const MIN_SPECK_POINTS = 6;
// Averages of a closed hole's depth, after which it hardly changes.
const AVERAGING_ROUNDS = 64;

/**
 * The mask `valid` of a lattice without small patches. The largest patch stays, whatever its size.
 * @param {{valid: Uint8Array, columns: number}} lattice
 * @param {number} specks Share of points up to which a patch is small.
 * @param {(point: number) => any} joinsRight Whether a point is joined to the next of its row.
 * @param {(point: number) => any} joinsBelow Whether a point is joined to the one below it.
 * @returns {Uint8Array}
 */
export function withoutSpecks({ valid, columns }, specks, joinsRight, joinsBelow) {
  const roots = patchRoots(valid, columns, joinsRight, joinsBelow);
  const sizes = patchSizes(roots);
  const limit = maxSpeckSize(valid.length, specks);
  let largest = 0;
  for (let root = 1; root < sizes.length; root++) if (sizes[root] > sizes[largest]) largest = root;
  const isKept = (root) => sizes[root] > limit || root === largest;
  return valid.map((isValid, point) => (isValid && isKept(roots[point]) ? 1 : 0));
}

function maxSpeckSize(points, specks) {
  return Math.max(Math.min(MIN_SPECK_POINTS, Math.floor(points / 1000)), Math.trunc(specks * points));
}

// The first point of the patch of each point in the mask; -1 for the others.
function patchRoots(mask, columns, joinsRight, joinsBelow) {
  const roots = new Int32Array(mask.length).fill(-1);
  const find = (point) => {
    let root = point;
    while (roots[root] !== root) {
      roots[root] = roots[roots[root]];
      root = roots[root];
    }
    return root;
  };
  const join = (first, second) => {
    const firstRoot = find(first);
    const secondRoot = find(second);
    roots[Math.max(firstRoot, secondRoot)] = Math.min(firstRoot, secondRoot);
  };

  for (let point = 0; point < mask.length; point++) {
    if (!mask[point]) continue;
    roots[point] = point;
    const left = point - 1;
    const above = point - columns;
    if (point % columns && mask[left] && joinsRight(left)) join(left, point);
    if (above >= 0 && mask[above] && joinsBelow(above)) join(above, point);
  }
  for (let point = 0; point < roots.length; point++) if (roots[point] >= 0) roots[point] = find(point);
  return roots;
}

function patchSizes(roots) {
  const sizes = new Int32Array(roots.length);
  for (const root of roots) if (root >= 0) sizes[root]++;
  return sizes;
}

/**
 * A lattice whose small holes are closed if their rim is one surface, by means of 1/z. Where the photograph is
 * transparent, holes stay.
 * @param {any} lattice
 * @param {{specks: number, jump: number}} cut
 */
export function closeHoles(lattice, cut) {
  const { columns, valid } = lattice;
  const { roots, closed } = closedHoles(lattice, cut);
  const points = listWhere(roots, (root) => root >= 0 && closed[root]);
  if (!points.length) return lattice;

  const z = lattice.z.map((depth, point) => (valid[point] ? depth : 1));
  const filled = valid.slice();
  for (const point of points) {
    z[point] = closed[roots[point]];
    filled[point] = 1;
  }
  for (let round = 0; round < AVERAGING_ROUNDS; round++) {
    const means = points.map((point) => 4 / neighboursOf(point, columns).reduce((sum, side) => sum + 1 / z[side], 0));
    points.forEach((point, index) => { z[point] = means[index]; });
  }
  return { ...lattice, z, valid: filled };
}

const neighboursOf = (point, columns) => [point - columns, point + columns, point - 1, point + 1];

function listWhere(values, test) {
  const indices = [];
  values.forEach((value, index) => { if (test(value)) indices.push(index); });
  return indices;
}

// The hole of each point without depth, by its first point; and by this point the depth from which a hole's averages
// begin, 0 if the hole stays.
function closedHoles({ rows, columns, z, valid, transparent }, { specks, jump }) {
  const isJoined = () => true;
  const roots = patchRoots(valid.map((isValid) => (isValid ? 0 : 1)), columns, isJoined, isJoined);
  const sizes = patchSizes(roots);
  const limit = maxSpeckSize(valid.length, specks);
  const isAtBorder = (point) => point < columns || point >= (rows - 1) * columns
    || point % columns === 0 || point % columns === columns - 1;

  const staysOpen = new Uint8Array(roots.length);
  const nearest = new Float32Array(roots.length).fill(Infinity);
  const farthest = new Float32Array(roots.length);
  roots.forEach((root, point) => {
    if (root < 0) return;
    if (sizes[root] > limit || isAtBorder(point) || transparent?.[point]) {
      staysOpen[root] = 1;
      return;
    }
    for (const side of neighboursOf(point, columns)) {
      if (!valid[side]) continue;
      nearest[root] = Math.min(nearest[root], z[side]);
      farthest[root] = Math.max(farthest[root], z[side]);
    }
  });

  const closed = new Float64Array(roots.length);
  closed.forEach((_, root) => {
    const isOneSurface = farthest[root] <= nearest[root] * (1 + jump);
    if (roots[root] === root && !staysOpen[root] && isOneSurface) closed[root] = (nearest[root] + farthest[root]) / 2;
  });
  return { roots, closed };
}
