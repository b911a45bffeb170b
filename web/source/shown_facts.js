// Facts of a result: first what anybody asks, the rest folded.

import { made, part } from "viewer";

const SOURCES = { given: "given", gpano: "from the file (GPano)", heif: "from the file (HEIC)", markers: "from printed markers", rectangle: "from a known rectangle", fov: "given as a field of view", millimetres: "given in millimetres", exif_35mm: "from EXIF, 35 mm equivalent", exif_sensor: "from EXIF, focal length and sensor",
  predicted: "predicted by the model", vanishing_points: "from vanishing points", assumed: "assumed, and may be far off" };

// How affine depth became a surface.
const told = ({ model, rank_correlation: order, residual, refused }) =>
  refused ?? `scale and shift are fitted to depth by ${model}; rank correlation ${order}, median difference ${(100 * residual).toFixed(1)} %`;

const list = (rows) => made("dl", {}, ...Object.entries(rows).map(([key, value]) =>
  made("div", {}, made("dt", { textContent: key }), made("dd", { textContent: value }))));

export function showFacts({ name, width, height, camera, madeBy, seconds, place, anchoring, ticks, kind }, threads) {
  const degrees = camera.degrees ?? (360 / Math.PI) * Math.atan(width / 2 / camera.fx), { settings: how } = madeBy;
  const isKnown = ticks.length > 2, unit = kind === "metric" ? "" : ", in an unknown unit until a length is known";
  part("facts").replaceChildren(list({
    ...(isKnown && { near: ticks.at(-1) + unit, far: ticks[0] + unit }),
    model: madeBy.model, "licence of the model": madeBy.licence,
  }), made("details", {}, made("summary", { textContent: "All facts" }), list({
    photograph: `${name}, ${width} × ${height} px`, camera: `${SOURCES[camera.source]}; ${degrees.toFixed(1)}° wide`,
    "SHA-256 of the model's weights": madeBy.weights_sha256, ...(anchoring && { anchored: told(anchoring) }),
    settings: Object.entries(how).map(([key, value]) => `${key} ${value}`).join(", "),
    ...(seconds && { time: `${seconds.all.toFixed(2)} s, of which ${seconds.read.toFixed(2)} s to read the file; ${threads === 1 ? "one thread" : `${threads} threads`}` }),
    "made by": `rilievo ${madeBy.version}, ${place ?? "in this browser"}`,
  })));
}
