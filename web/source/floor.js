// The visible floor of a photograph: rilievo.calibration.floor, which explains it.

import { clamp, cross, dot, facesOf, leastSquares, listOf, pointOf, quantile, triangles } from "relief";
import { CUT, vertexNormals } from "./surface.js";

const GRID_PIXELS = 40_000, TOLERANCE = 0.05, LEAST_TOLERANCE = 1e-5, LEAST_AREA = 0.03, MOST_BELOW = 0.05, BELOW = 1.15;
const MOST_ROUGHNESS = 10, NEAREST = 1 / 3, MOST_UNEVEN = 0.1, FAR_BELOW = 1.5, DEEP = 0.15, FARTHEST = 0.9, TRIALS = 500, ON_BENT = 0.25, MISFIT = 0.8, LEAST_SPREAD = 1e-9;
const cosine = (degrees) => Math.cos((degrees * Math.PI) / 180), UP = cosine(35), LEVEL = cosine(10), UNBENT = cosine(1), WORD = (1n << 64n) - 1n, LONG = (1n << 128n) - 1n;

// Whole numbers below a limit, as numpy.random.default_rng(0).integers gives them (PCG64).
function generator() {
  const factor = (2549297995355413924n << 64n) | 4865540595714422341n;
  let state = 35399562948360463058890781895381311971n, kept = null;
  function next() {
    if (kept !== null) { const half = kept; kept = null; return half; }
    state = (state * factor + 87136372517582989555478159403783844777n) & LONG;
    const folded = (state >> 64n) ^ (state & WORD), turn = state >> 122n;
    const word = ((folded >> turn) | (folded << (64n - turn))) & WORD;
    kept = word >> 32n;
    return word & 0xffffffffn;
  }
  return (limit) => {
    const whole = BigInt(limit), least = (0x100000000n - whole) % whole;
    for (;;) {
      const product = next() * whole;
      if ((product & 0xffffffffn) >= least) return Number(product >> 32n);
    }
  };
}

// Points of a grid that face up in the lower half, x, y, z, ..., with their normals, and all points.
function facingUp({ depth, valid, height, width, camera, normalsAt }) {
  const step = Math.ceil(Math.sqrt((height * width) / GRID_PIXELS));
  const rows = Math.ceil(height / step), columns = Math.ceil(width / step);
  const z = new Float32Array(rows * columns), seen = new Uint8Array(z.length);
  for (let at = 0; at < z.length; at++) {
    const pixel = Math.floor(at / columns) * step * width + (at % columns) * step;
    seen[at] = !valid || valid[pixel] ? 1 : 0;
    z[at] = seen[at] ? depth[pixel] : 1;
  }
  const grid = { rows, columns, firstRow: 0, firstColumn: 0, step, z, valid: seen, camera };
  const along = (count) => listOf(count, (at) => at * step);
  const field = normalsAt?.(along(rows), along(columns)) ?? vertexNormals(grid, triangles(facesOf(grid, CUT), grid));
  const points = [], normals = [], scene = [];
  for (let at = 0; at < z.length; at++) {
    if (!seen[at]) continue;
    const point = pointOf(grid, at);
    scene.push(...point);
    if (at < (rows >> 1) * columns || !(-field[3 * at + 1] > UP)) continue;
    points.push(...point);
    normals.push(field.slice(3 * at, 3 * at + 3));
  }
  return { points: Float64Array.from(points), normals, scene: Float64Array.from(scene) };
}

const along = (points, m, at) => m[0] * points[at] + m[1] * points[at + 1] + m[2] * points[at + 2];

function share(points, m, least) {
  let count = 0;
  for (let at = 0; at < points.length; at += 3) if (along(points, m, at) > least) count++;
  return (3 * count) / points.length;
}

const planeOf = (points) => leastSquares(points, new Float64Array(points.length / 3).fill(1));

// The plane m·p = 1 by least squares over the points on it, within three deviations of its own.
function refined(start, points) {
  let m = start, tolerance = TOLERANCE;
  for (let round = 0; round < 10; round++) {
    const chosen = points.filter((_, at) => Math.abs(along(points, m, at - (at % 3)) - 1) < tolerance);
    m = planeOf(chosen);
    const misses = listOf(chosen.length / 3, (at) => Math.abs(along(chosen, m, 3 * at) - 1));
    tolerance = Math.min(TOLERANCE, Math.max(3 * 1.4826 * quantile(misses, 0.5), LEAST_TOLERANCE));
  }
  return m;
}

const isUp = (m) => m[1] > UP * Math.hypot(...m);

function largestPlane(points, drawn) {
  const count = points.length / 3, pick = () => listOf(TRIALS, () => 3 * drawn(count));
  const [p, q, r] = [pick(), pick(), pick()].map((picked) => picked.map((at) => points.subarray(at, at + 3)));
  const largest = Math.max(...p.flatMap((each, at) => [0, 1, 2].map((axis) => Math.abs(each[axis] * q[at][axis] * r[at][axis]))));
  let best = null, most = -1;
  for (let at = 0; at < TRIALS; at++) {
    const turned = [cross(q[at], r[at]), cross(r[at], p[at]), cross(p[at], q[at])], volume = dot(p[at], turned[0]);
    const m = [0, 1, 2].map((axis) => (turned[0][axis] + turned[1][axis] + turned[2][axis]) / volume);
    if (!(Math.abs(volume) > 1e-9 * largest) || !isUp(m)) continue;
    let votes = 0;
    for (let each = 0; each < points.length; each += 3) if (Math.abs(along(points, m, each) - 1) < TOLERANCE) votes++;
    if (votes > most) [best, most] = [m, votes];
  }
  if (!best) return null;
  const m = refined(best, points);
  return isUp(m) ? m : null;
}

const depths = (points) => points.filter((_, at) => at % 3 === 2);

// The floor of a level camera through the nearest points; null where the plane is pitched or their heights differ.
function levelPlane({ points, scene }, m) {
  if (m[1] < LEVEL * Math.hypot(...m)) return null;
  const limit = quantile(depths(points), NEAREST);
  const heights = points.filter((_, at) => at % 3 === 1 && points[at + 1] <= limit), height = quantile(heights, 0.5);
  const isUneven = () => quantile(heights.map((each) => Math.abs(each / height - 1)), 0.5) > MOST_UNEVEN;
  if (!(height > 0) || isUneven() || share(scene, [0, 1 / height, 0], FAR_BELOW) > MOST_BELOW) return null;
  return [0, 1 / height, 0];
}

// The plane, or the floor of a level camera where a deep place bends its floor; null where that is none.
function unbent(facing, m, floor) {
  if (1 / Math.hypot(...m) > DEEP * quantile(depths(facing.scene), FARTHEST)) return m;
  const limit = quantile(depths(floor), NEAREST);
  const nearest = planeOf(floor.filter((_, at) => floor[at - (at % 3) + 2] <= limit));
  const isStraight = dot(m, nearest) > UNBENT * Math.hypot(...m) * Math.hypot(...nearest);
  return isStraight ? m : levelPlane(facing, m);
}

function roughness(normals) {
  const mean = normals.reduce((sum, each) => sum.map((value, axis) => value + each[axis]), [0, 0, 0]), size = Math.hypot(...mean);
  const angles = normals.map((each) => Math.acos(clamp(-1, dot(each, mean) / size, 1)));
  return (quantile(angles, 0.5) * 180) / Math.PI;
}

// Relative difference of depth from a plane that most of the points on it stay below.
function misfitOf(points, m, most) {
  const misses = listOf(points.length / 3, (at) => Math.abs(along(points, m, 3 * at) - 1));
  return quantile(misses.filter((miss) => miss < most), MISFIT);
}

// Mean position of the points on a plane, and two directions in it, each over the deviation of the points along it:
// rilievo.calibration.plane_support.
function supportOf(points, m, most, normal) {
  const on = [], middle = [0, 0, 0];
  for (let at = 0; at < points.length; at += 3) if (Math.abs(along(points, m, at) - 1) < most) on.push([points[at], points[at + 1], points[at + 2]]);
  on.forEach((point) => point.forEach((axis, place) => { middle[place] += axis / on.length; }));
  // Directions in the plane, and the covariance of the points along them.
  const least = normal.map(Math.abs).indexOf(Math.min(...normal.map(Math.abs))), unit = [0, 0, 0];
  unit[least] = 1;
  const across = cross(normal, unit), first = across.map((axis) => axis / Math.hypot(...across)), second = cross(normal, first);
  let [a, b, c] = [0, 0, 0];
  for (const point of on) {
    const offset = point.map((axis, place) => axis - middle[place]), x = dot(first, offset), y = dot(second, offset);
    [a, b, c] = [a + (x * x) / on.length, b + (x * y) / on.length, c + (y * y) / on.length];
  }
  // The inverse of its Cholesky factor.
  const wide = Math.max(Math.sqrt(a), LEAST_SPREAD), slant = b / wide, high = Math.max(Math.sqrt(Math.max(c - slant * slant, 0)), LEAST_SPREAD);
  const row = first.map((axis) => axis / wide);
  return { middle, axes: [row, second.map((axis, place) => (axis - slant * row[place]) / high)] };
}

// { normal, height, misfit, middle, axes } of the plane normal·p + height = 0, with the camera at the origin; null
// where no floor is seen.
export function floorOf(prediction) {
  const facing = facingUp(prediction), { scene } = facing, least = (LEAST_AREA * scene.length) / 3, drawn = generator();
  let { points, normals } = facing;
  for (let round = 0; round < 3 && points.length / 3 >= least; round++) {
    const m = largestPlane(points, drawn);
    if (!m) return null;
    const miss = normals.map((_, at) => Math.abs(along(points, m, 3 * at) - 1)), on = normals.filter((_, at) => miss[at] < TOLERANCE);
    if (on.length < least) return null;
    if (roughness(on) <= MOST_ROUGHNESS) {
      const isFloor = share(scene, m, BELOW) <= MOST_BELOW;
      const found = isFloor ? unbent(facing, m, points.filter((_, at) => miss[Math.floor(at / 3)] < TOLERANCE)) : levelPlane(facing, m);
      if (isFloor && !found) return null;
      if (found) {
        const [near, most] = found === m ? [points, TOLERANCE] : [facing.points, ON_BENT];
        const normal = found.map((each) => -each / Math.hypot(...found)), misfit = misfitOf(near, found, most);
        return { normal, height: 1 / Math.hypot(...found), misfit, ...supportOf(near, found, most, normal) };
      }
    }
    const stays = miss.map((each) => each > 2 * TOLERANCE);
    points = points.filter((_, at) => stays[Math.floor(at / 3)]);
    normals = normals.filter((_, at) => stays[at]);
  }
  return null;
}
