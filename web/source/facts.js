// What a file says of itself inside, as rilievo.io.outputs.sidecar has it.

export const MOST_POINTS = 1_000_000;
export const OUR_AXES = "x right, y down, z forward (OpenCV); towards the camera: a wall head-on is (0, 0, -1)";
const MEANINGS = {
  metric: "depth along the optical axis in metres",
  up_to_scale: "depth along the optical axis times one unknown positive factor",
  affine: "depth along the optical axis times an unknown positive factor, plus an unknown shift",
  affine_inverse: "1/depth times an unknown positive factor, plus an unknown shift: large is near",
};

export const meaningOf = ({ kind, camera }) =>
  (camera.lens ? MEANINGS[kind].replace("depth along the optical axis", "distance along the ray") : MEANINGS[kind]);
export const bytes = (text) => new TextEncoder().encode(text);
export const stem = (name) => name.replace(/\.[^.]*$/, "") || "photograph";
export const unitOf = (kind) => (kind === "metric" ? "metre" : "arbitrary");

// The JSON inside of one file. `prediction` has made_by as rilievo.records.prediction_record.MadeBy has it.
export function about(prediction, facts) {
  const { name, width, height, kind, camera, depth, valid, madeBy, calibration } = prediction;
  let minimum = Infinity, maximum = -Infinity, count = 0;
  for (let at = 0; at < depth.length; at++) {
    if (valid && !valid[at]) continue;
    minimum = Math.min(minimum, depth[at]);
    maximum = Math.max(maximum, depth[at]);
    count++;
  }
  const angle = (focal, centre, length) =>
    (180 / Math.PI) * (Math.atan((centre + 0.5) / focal) + Math.atan((length - 0.5 - centre) / focal));
  const { fx, fy, cx, cy, source } = camera;
  return {
    format: "rilievo/1", source: { file: name, width, height },
    depth: { kind, unit: unitOf(kind), meaning: meaningOf(prediction), ...(count ? { minimum, maximum } : {}), valid_pixels: count },
    camera: camera.lens ? { K: null, lens: `equirect:${[fx, fy, cx, cy]}`, source, horizontal_fov: 360, vertical_fov: 180 } : { K: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], source,
      horizontal_fov: angle(fx, cx, width), vertical_fov: angle(fy, cy, height) },
    ...(calibration ? { calibration } : {}), made_by: madeBy, run: {}, files: [facts], earlier: [],
  };
}

export function surfaceFacts(prediction, output, holds, axes, surface, ending) {
  return { file: `${stem(prediction.name)}${ending}`, output, holds, unit: unitOf(prediction.kind), axes,
    surface: { edge_jump: 0.08, grazing_degrees: 3, specks: 1e-3, ...surface } };
}
