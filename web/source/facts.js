// What a file says of itself inside, as rilievo.io.outputs.sidecar has it.

/** Points of a surface in a file at most. */
export const MAX_POINTS = 1_000_000;
export const OUR_AXES = "x right, y down, z forward (OpenCV); normals point towards the camera: "
  + "that of a wall seen head-on is (0, 0, -1)";

const ALONG_AXIS = "depth along the optical axis";
const ALONG_RAY = "distance along the ray";
const MEANINGS = {
  metric: `${ALONG_AXIS} in metres`,
  up_to_scale: `${ALONG_AXIS} times one unknown positive factor`,
  affine: `${ALONG_AXIS} times an unknown positive factor, plus an unknown shift`,
  affine_inverse: "1/depth times an unknown positive factor, plus an unknown shift: large is near",
};

/** What the numbers of a prediction mean, in words. */
export function meaningOf({ kind, camera }) {
  return camera.lens ? MEANINGS[kind].replace(ALONG_AXIS, ALONG_RAY) : MEANINGS[kind];
}

/** @param {string} kind */
export const unitOf = (kind) => (kind === "metric" ? "metre" : "arbitrary");

/** The name of a file without its ending. */
export const stem = (name) => name.replace(/\.[^.]*$/, "") || "photograph";

/** @param {string} text */
export const toBytes = (text) => new TextEncoder().encode(text);

/**
 * The facts of a prediction and of one file of it, as a file has them inside as JSON.
 * @param {any} prediction
 * @param {any} fileFacts
 */
export function about(prediction, fileFacts) {
  const { name, width, height, madeBy, calibration } = prediction;
  return {
    format: "rilievo/1",
    source: { file: name, width, height },
    depth: depthFacts(prediction),
    camera: cameraFacts(prediction),
    ...(calibration ? { calibration } : {}),
    made_by: madeBy,
    run: {},
    files: [fileFacts],
    earlier: [],
  };
}

function depthFacts(prediction) {
  const { kind, depth, valid } = prediction;
  let minimum = Infinity;
  let maximum = -Infinity;
  let count = 0;
  for (let pixel = 0; pixel < depth.length; pixel++) {
    if (valid && !valid[pixel]) continue;
    minimum = Math.min(minimum, depth[pixel]);
    maximum = Math.max(maximum, depth[pixel]);
    count++;
  }
  const range = count ? { minimum, maximum } : {};
  return { kind, unit: unitOf(kind), meaning: meaningOf(prediction), ...range, valid_pixels: count };
}

function cameraFacts({ width, height, camera }) {
  const { fx, fy, cx, cy, source } = camera;
  if (camera.lens) {
    const lens = `equirect:${[fx, fy, cx, cy]}`;
    return { K: null, lens, source, horizontal_fov: 360, vertical_fov: 180 };
  }
  const K = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]];
  return { K, source, horizontal_fov: fieldOfView(fx, cx, width), vertical_fov: fieldOfView(fy, cy, height) };
}

// Field of view [degrees] along a side; the centre of the first pixel is at 0.
function fieldOfView(focal, centre, length) {
  const before = Math.atan((centre + 0.5) / focal);
  const after = Math.atan((length - 0.5 - centre) / focal);
  return (180 / Math.PI) * (before + after);
}

/**
 * The facts of a file that holds a surface.
 * @param {any} prediction
 * @param {string} output Name of the output, as --save has it.
 * @param {string} holds What the file holds, in words.
 * @param {string} axes
 * @param {any} surface Numbers of the surface, for example of its points.
 * @param {string} ending
 */
export function surfaceFacts(prediction, output, holds, axes, surface, ending) {
  return {
    file: `${stem(prediction.name)}${ending}`,
    output,
    holds,
    unit: unitOf(prediction.kind),
    axes,
    surface: { edge_jump: 0.08, grazing_degrees: 3, specks: 1e-3, ...surface },
  };
}
