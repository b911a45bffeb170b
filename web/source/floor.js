// The visible floor of a photograph: rilievo.calibration.floor, which explains it.
//
// Points are flat arrays x, y, z, x, y, z, … in the camera frame. A plane is the vector m with m · p = 1 for the
// points p on it, so its distance from the camera is one over the length of m.

import { clamp, cross, dot, facesOf, leastSquares, listOf, pointOf, quantile, triangles } from "relief";
import { randomIntegers } from "./random.js";
import { CUT, vertexNormals } from "./surface.js";

const cosine = (degrees) => Math.cos((degrees * Math.PI) / 180);

// Pixels of the grid on which the floor is searched; enough for a plane.
const GRID_PIXELS = 40_000;
// Largest angle between a floor's normal and the vertical, as a cosine.
const MIN_UPWARD_COSINE = cosine(35);
// Largest relative difference between the depth of a plane and that of a pixel on it, and its least value, for exact
// depth.
const TOLERANCE = 0.05;
const MIN_TOLERANCE = 1e-5;
// Standard deviations of the points on a plane within which a point counts, and the standard deviation of a normal
// distribution over its median absolute deviation.
const MAX_DEVIATIONS = 3;
const DEVIATION_PER_MEDIAN = 1.4826;
// Least share of the pixels with depth that a floor covers.
const MIN_AREA = 0.03;
// Largest median angle between the normals of a floor and their mean [degrees]; heaps and sofas exceed it.
const MAX_ROUGHNESS = 10;
const RANSAC_TRIALS = 500;
const REFINEMENTS = 10;
// Planes that are tried, which is enough for a table, a bench and the floor.
const MAX_PLANES = 3;
// Volume that three points span with the camera, as a share of the largest product of their coordinates, up to which
// they define no plane.
const MIN_VOLUME = 1e-9;

// Height of the camera above a point, over that above the plane, from which on the point lies below the plane. A table
// has the room below it, a floor has nothing.
const BELOW_PLANE = 1.15;
// The same below a level floor.
const FAR_BELOW_PLANE = 1.5;
// Largest share of the pixels with depth that may lie below a floor.
const MAX_SHARE_BELOW = 0.05;

// Networks predict too little relief in deep places, so the plane through a long floor is pitched there. The nearest
// points that face up are then taken for the floor of a level camera.
// Largest height of the camera in a deep place, over the depth of its farthest tenth.
const DEEP_PLACE = 0.15;
const FARTHEST_QUANTILE = 0.9;
// Share of the points, the nearest ones, to which a level floor is fitted.
const NEAREST_QUANTILE = 1 / 3;
// Angle between the plane of a floor's nearest third and that of all of it, from which on the floor is bent, as a
// cosine.
const STRAIGHT_COSINE = cosine(1);
// Largest median relative difference of a level floor's nearest heights from their median.
const MAX_UNEVENNESS = 0.1;
// Largest angle between the bent floor's plane and a level one, as a cosine.
const MIN_LEVEL_COSINE = cosine(10);
// Largest relative difference of the height of points on a bent floor from the level one.
const LEVEL_TOLERANCE = 0.25;

// Quantile of the differences of points on a floor that is told as its misfit.
const MISFIT_QUANTILE = 0.8;
// Least standard deviation of points along a direction of the plane, to divide by it.
const MIN_SPREAD = 1e-9;

/**
 * Find the floor of a photograph.
 * @param {any} prediction
 * @returns {{normal: number[], height: number, misfit: number, middle: number[], axes: number[][]} | null} The plane
 *   normal · p + height = 0, with the camera at the origin; the relative difference of depth that most points on it
 *   stay below; and how far these points extend. Null if no floor is seen.
 */
export function floorOf(prediction) {
  const surfaces = findSurfaces(prediction);
  const floor = findFloorPlane(surfaces);
  if (!floor) return null;
  const { m, points, tolerance } = floor;
  const length = Math.hypot(...m);
  const normal = m.map((axis) => -axis / length);
  const misfit = misfitOf(points, m, tolerance);
  return { normal, height: 1 / length, misfit, ...supportOf(points, m, tolerance, normal) };
}

// Points of a grid that face up in the lower half of the picture, with their normals, and all points with depth.
function findSurfaces({ depth, valid, height, width, camera, normalsAt }) {
  const step = Math.ceil(Math.sqrt((height * width) / GRID_PIXELS));
  const rows = Math.ceil(height / step);
  const columns = Math.ceil(width / step);
  const pixelOf = (point) => Math.floor(point / columns) * step * width + (point % columns) * step;
  const hasDepth = Uint8Array.from({ length: rows * columns }, (_, point) => (!valid || valid[pixelOf(point)] ? 1 : 0));
  const z = Float32Array.from(hasDepth, (isValid, point) => (isValid ? depth[pixelOf(point)] : 1));
  const lattice = { rows, columns, firstRow: 0, firstColumn: 0, step, z, valid: hasDepth, camera };
  const along = (count) => listOf(count, (index) => index * step);
  const directions = normalsAt?.(along(rows), along(columns))
    ?? vertexNormals(lattice, triangles(facesOf(lattice, CUT), lattice));

  const points = [];
  const normals = [];
  const scene = [];
  const firstLowerPoint = (rows >> 1) * columns;
  for (let point = 0; point < z.length; point++) {
    if (!hasDepth[point]) continue;
    const position = pointOf(lattice, point);
    scene.push(...position);
    const facesUp = -directions[3 * point + 1] > MIN_UPWARD_COSINE;
    if (point < firstLowerPoint || !facesUp) continue;
    points.push(...position);
    normals.push(directions.slice(3 * point, 3 * point + 3));
  }
  return { points: Float64Array.from(points), normals, scene: Float64Array.from(scene) };
}

// The plane of the floor, the points among which those on it are, and the tolerance by which they are; null if there is
// none. Planes that are no floor, as that of a table, are taken away one after the other.
function findFloorPlane(surfaces) {
  const minPoints = (MIN_AREA * surfaces.scene.length) / 3;
  const random = randomIntegers();
  let { points, normals } = surfaces;
  for (let count = 0; count < MAX_PLANES && points.length / 3 >= minPoints; count++) {
    const m = largestPlane(points, random);
    if (!m) return null;
    const differences = depthDifferences(points, m);
    const isOnPlane = differences.map((difference) => difference < TOLERANCE);
    const normalsOnPlane = normals.filter((_, point) => isOnPlane[point]);
    if (normalsOnPlane.length < minPoints) return null;

    if (medianAngleToMean(normalsOnPlane) <= MAX_ROUGHNESS) {
      if (shareBelow(surfaces.scene, m, BELOW_PLANE) <= MAX_SHARE_BELOW) {
        const floorPoints = points.filter((_, index) => isOnPlane[Math.floor(index / 3)]);
        return levelFloorIfBent(surfaces, m, points, floorPoints);
      }
      const level = levelFloor(surfaces, m);
      if (level) return level;
    }

    const remains = differences.map((difference) => difference > 2 * TOLERANCE);
    points = points.filter((_, index) => remains[Math.floor(index / 3)]);
    normals = normals.filter((_, point) => remains[point]);
  }
  return null;
}

// The plane through three random points with the most points on it, then by least squares; null if none faces up.
function largestPlane(points, random) {
  const count = points.length / 3;
  const drawPoints = () => {
    const starts = listOf(RANSAC_TRIALS, () => 3 * random(count));
    return starts.map((start) => points.subarray(start, start + 3));
  };
  const first = drawPoints();
  const second = drawPoints();
  const third = drawPoints();
  const products = first.flatMap((p, trial) =>
    [0, 1, 2].map((axis) => Math.abs(p[axis] * second[trial][axis] * third[trial][axis])));
  const minVolume = MIN_VOLUME * Math.max(...products);

  let best = null;
  let mostVotes = -1;
  for (let trial = 0; trial < RANSAC_TRIALS; trial++) {
    const { m, volume } = planeThrough(first[trial], second[trial], third[trial]);
    if (!(Math.abs(volume) > minVolume) || !facesUpward(m)) continue;
    let votes = 0;
    for (let start = 0; start < points.length; start += 3) {
      if (Math.abs(product(points, m, start) - 1) < TOLERANCE) votes++;
    }
    if (votes > mostVotes) {
      best = m;
      mostVotes = votes;
    }
  }
  if (!best) return null;
  const m = refinePlane(best, points);
  return facesUpward(m) ? m : null;
}

// The plane through three points, and the volume that they span with the camera.
function planeThrough(p, q, r) {
  const normals = [cross(q, r), cross(r, p), cross(p, q)];
  const volume = dot(p, normals[0]);
  const m = [0, 1, 2].map((axis) => (normals[0][axis] + normals[1][axis] + normals[2][axis]) / volume);
  return { m, volume };
}

// Least squares over the points on a plane, again and again, with ever fewer points far from it.
function refinePlane(start, points) {
  let m = start;
  let tolerance = TOLERANCE;
  for (let round = 0; round < REFINEMENTS; round++) {
    const onPlane = points.filter((_, index) => Math.abs(product(points, m, index - (index % 3)) - 1) < tolerance);
    m = fitPlane(onPlane);
    const median = quantile(depthDifferences(onPlane, m), 0.5);
    tolerance = Math.min(TOLERANCE, Math.max(MAX_DEVIATIONS * DEVIATION_PER_MEDIAN * median, MIN_TOLERANCE));
  }
  return m;
}

const fitPlane = (points) => leastSquares(points, new Float64Array(points.length / 3).fill(1));

const product = (points, m, start) => m[0] * points[start] + m[1] * points[start + 1] + m[2] * points[start + 2];

// Relative difference of depth between each point and a plane.
function depthDifferences(points, m) {
  return listOf(points.length / 3, (point) => Math.abs(product(points, m, 3 * point) - 1));
}

const facesUpward = (m) => m[1] > MIN_UPWARD_COSINE * Math.hypot(...m);

// Share of the scene that lies farther below the camera than a plane, by a factor.
function shareBelow(scene, m, factor) {
  let count = 0;
  for (let start = 0; start < scene.length; start += 3) if (product(scene, m, start) > factor) count++;
  return (3 * count) / scene.length;
}

// Median angle [degrees] between normals and their mean.
function medianAngleToMean(normals) {
  const sum = normals.reduce((total, normal) => total.map((value, axis) => value + normal[axis]), [0, 0, 0]);
  const length = Math.hypot(...sum);
  const angles = normals.map((normal) => Math.acos(clamp(-1, dot(normal, sum) / length, 1)));
  return (quantile(angles, 0.5) * 180) / Math.PI;
}

// The plane m as a floor, or the floor of a level camera if a deep place bends it; null if that is none.
function levelFloorIfBent(surfaces, m, points, floorPoints) {
  const floor = { m, points, tolerance: TOLERANCE };
  const cameraHeight = 1 / Math.hypot(...m);
  const isDeep = cameraHeight <= DEEP_PLACE * quantile(depthsOf(surfaces.scene), FARTHEST_QUANTILE);
  if (!isDeep) return floor;

  const limit = quantile(depthsOf(floorPoints), NEAREST_QUANTILE);
  const nearest = fitPlane(floorPoints.filter((_, index) => floorPoints[index - (index % 3) + 2] <= limit));
  const isStraight = dot(m, nearest) > STRAIGHT_COSINE * Math.hypot(...m) * Math.hypot(...nearest);
  return isStraight ? floor : levelFloor(surfaces, m);
}

const depthsOf = (points) => points.filter((_, index) => index % 3 === 2);

// The floor of a level camera through the nearest points that face up; null if the plane is pitched, or if the heights
// of these points differ.
function levelFloor({ points, scene }, m) {
  if (m[1] < MIN_LEVEL_COSINE * Math.hypot(...m)) return null;
  const limit = quantile(depthsOf(points), NEAREST_QUANTILE);
  const heights = points.filter((_, index) => index % 3 === 1 && points[index + 1] <= limit);
  const height = quantile(heights, 0.5);
  if (!(height > 0)) return null;
  const unevenness = quantile(heights.map((own) => Math.abs(own / height - 1)), 0.5);
  if (unevenness > MAX_UNEVENNESS) return null;
  const level = [0, 1 / height, 0];
  if (shareBelow(scene, level, FAR_BELOW_PLANE) > MAX_SHARE_BELOW) return null;
  return { m: level, points, tolerance: LEVEL_TOLERANCE };
}

// Relative difference of depth from a plane that most of the points on it stay below.
function misfitOf(points, m, tolerance) {
  const differences = depthDifferences(points, m).filter((difference) => difference < tolerance);
  return quantile(differences, MISFIT_QUANTILE);
}

// Mean position of the points on a plane, and two directions in it, each over the standard deviation of the points
// along it: rilievo.measure.plane_support.
function supportOf(points, m, tolerance, normal) {
  const onPlane = [];
  for (let start = 0; start < points.length; start += 3) {
    if (Math.abs(product(points, m, start) - 1) >= tolerance) continue;
    onPlane.push([points[start], points[start + 1], points[start + 2]]);
  }
  const count = onPlane.length;
  const middle = [0, 0, 0];
  for (const position of onPlane) position.forEach((value, axis) => { middle[axis] += value / count; });

  const { first, second } = directionsIn(normal);
  let firstVariance = 0;
  let covariance = 0;
  let secondVariance = 0;
  for (const position of onPlane) {
    const offset = position.map((value, axis) => value - middle[axis]);
    const x = dot(first, offset);
    const y = dot(second, offset);
    firstVariance += (x * x) / count;
    covariance += (x * y) / count;
    secondVariance += (y * y) / count;
  }

  // The axes are the rows of the inverse of the covariance's Cholesky factor.
  const firstSpread = Math.max(Math.sqrt(firstVariance), MIN_SPREAD);
  const slant = covariance / firstSpread;
  const secondSpread = Math.max(Math.sqrt(Math.max(secondVariance - slant * slant, 0)), MIN_SPREAD);
  const firstAxis = first.map((value) => value / firstSpread);
  const secondAxis = second.map((value, axis) => (value - slant * firstAxis[axis]) / secondSpread);
  return { middle, axes: [firstAxis, secondAxis] };
}

// Two unit vectors in a plane, at right angles.
function directionsIn(normal) {
  const sizes = normal.map(Math.abs);
  const unit = [0, 0, 0];
  unit[sizes.indexOf(Math.min(...sizes))] = 1;
  const across = cross(normal, unit);
  const first = across.map((value) => value / Math.hypot(...across));
  return { first, second: cross(normal, first) };
}
