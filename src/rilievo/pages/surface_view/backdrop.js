"use strict";
// The backdrop for the sky, far behind a surface: rilievo.io.outputs.sky_backdrop, which explains it.
//
// A sky is { rows, columns, first_row, first_column, step, depth, reach, middle }, as SkyForm in rilievo.pages.relief
// describes it. Each point of its lattice has a flag: 0 if it is left out, SURE_SKY if it is certainly sky, or else 1.

const SURE_SKY = 2, WITHOUT_CUTS = { grazing: 0, jump: 1e9 };

/**
 * The backdrop as a mesh, whose vertices have the colours of the nearest points that are certainly sky.
 * @param {any} sky
 * @param {Uint8Array} flags
 * @param {any} camera A pinhole.
 * @param {{height: number, width: number}} photo
 * @returns {{points: number[][], pixels: number[][], index: number[]}} Points in the camera frame, the pixels of the
 *   photograph that give them their colours, and three vertices for each triangle.
 */
function backdropOf(sky, flags, camera, photo) {
  const lattice = { rows: sky.rows, columns: sky.columns, firstRow: sky.first_row, firstColumn: sky.first_column,
    step: sky.step, z: new Float32Array(flags.length).fill(sky.depth), valid: flags.map((flag) => (flag ? 1 : 0)), camera };
  const index = triangles(facesOf(lattice, WITHOUT_CUTS), lattice), used = corners(index, flags.length);
  const pixels = listOf(flags.length, (at) => pixelUpToEdges(lattice, at, photo));
  const candidates = used.filter((at) => flags[at] === SURE_SKY), hasColours = candidates.length > 0;
  const nearest = new Map([...used].map((at) => [at, hasColours ? nearestPoint(pixels, at, candidates) : at]));
  const sources = Array.from(index, (at) => nearest.get(at));
  if (hasColours) limitStretching(sources, pixels, 2 * sky.reach);

  const mesh = { points: [], pixels: [], index: [] }, vertices = new Map();
  index.forEach((at, corner) => {
    const source = sources[corner], name = `${at} ${source}`;
    if (!vertices.has(name)) {
      vertices.set(name, mesh.points.length);
      mesh.points.push(onRay(camera, pixels[at], sky.depth));
      mesh.pixels.push(hasColours ? pixels[source] : sky.middle);
    }
    mesh.index.push(vertices.get(name));
  });
  return mesh;
}

// The pixel of a point, of outermost points that at the edge of the photograph.
function pixelUpToEdges(lattice, at, { height, width }) {
  const edgeOr = (pixel, place, count, length) => (place === 0 ? 0 : place === count - 1 ? length - 1 : pixel);
  const [u, v] = pixelOf(lattice, at), { rows, columns } = lattice;
  return [edgeOr(u, at % columns, columns, width), edgeOr(v, Math.floor(at / columns), rows, height)];
}

function nearestPoint(pixels, at, candidates) {
  const [u, v] = pixels[at];
  let found = -1, least = Infinity;
  for (const candidate of candidates) {
    const [column, row] = pixels[candidate], squared = (column - u) ** 2 + (row - v) ** 2;
    if (squared < least) [found, least] = [candidate, squared];
  }
  return found;
}

// Where points that give the corners of a triangle their colours are more than `most` pixels apart, something before the
// sky may be between them, so these corners get the point that is farthest left.
function limitStretching(sources, pixels, most) {
  const distance = (one, other) => Math.max(...pixels[one].map((place, axis) => Math.abs(place - pixels[other][axis])));
  for (let first = 0; first < sources.length; first += 3) {
    const three = [...sources.slice(first, first + 3)];
    if (three.every((one) => three.every((other) => distance(one, other) <= most))) continue;
    const left = three.reduce((found, each) => (pixels[each][0] < pixels[found][0] ? each : found));
    const isNear = three.map((each) => distance(each, left) <= most);
    // Both others may be near the leftmost point, but far from each other.
    const isKept = (corner) => isNear[corner] && !isNear.every(Boolean);
    three.forEach((each, corner) => { sources[first + corner] = isKept(corner) ? each : left; });
  }
}
