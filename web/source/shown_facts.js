// Facts of a result: first what anybody asks, the rest folded.

import { made, part } from "viewer";

const CAMERA_SOURCES = {
  given: "given",
  gpano: "from the file (GPano)",
  heif: "from the file (HEIC)",
  markers: "from printed markers",
  rectangle: "from a known rectangle",
  fov: "from the given field of view",
  millimetres: "from the given focal length in millimetres",
  exif_35mm: "from EXIF, 35 mm equivalent focal length",
  exif_sensor: "from EXIF, focal length and sensor",
  predicted: "predicted by the model",
  vanishing_points: "from vanishing points of straight edges",
  assumed: "assumed, so it may be far off",
};

/**
 * Show the facts of a result on the page.
 * @param {any} result
 * @param {number} threads Threads that predicted it.
 */
export function showFacts({ name, width, height, camera, madeBy, seconds, place, anchoring, ticks, kind }, threads) {
  const firstFacts = {};
  const hasDistances = ticks.length > 2;
  if (hasDistances) {
    const unit = kind === "metric" ? "" : ", without a unit, as the model predicts it";
    firstFacts.near = ticks.at(-1) + unit;
    firstFacts.far = ticks[0] + unit;
  }
  firstFacts.model = madeBy.model;
  firstFacts["licence of the model"] = madeBy.licence;

  const degrees = camera.degrees ?? (360 / Math.PI) * Math.atan(width / 2 / camera.fx);
  const settings = Object.entries(madeBy.settings).map(([key, value]) => `${key} ${value}`);
  const allFacts = {
    photograph: `${name}, ${width} × ${height} px`,
    camera: `${CAMERA_SOURCES[camera.source]}; ${degrees.toFixed(1)}° wide`,
    "SHA-256 of the model's weights": madeBy.weights_sha256,
  };
  if (anchoring) allFacts.anchored = anchoringInWords(anchoring);
  allFacts.settings = settings.join(", ");
  if (seconds) allFacts.time = timeInWords(seconds, threads);
  allFacts["made by"] = `rilievo ${madeBy.version}, ${place ?? "in this browser"}`;

  const folded = made("details", {}, made("summary", { textContent: "All facts" }), definitionList(allFacts));
  part("facts").replaceChildren(definitionList(firstFacts), folded);
}

// How affine depth became a surface, or why it did not.
function anchoringInWords({ model, rank_correlation: correlation, residual, refused }) {
  if (refused) return refused;
  const difference = (100 * residual).toFixed(1);
  return `scale and shift are fitted to depth by ${model}; rank correlation ${correlation}, `
    + `median difference ${difference}%`;
}

function timeInWords({ all, read }, threads) {
  const threadWords = threads === 1 ? "one thread" : `${threads} threads`;
  return `${all.toFixed(2)} s, of which ${read.toFixed(2)} s to read the file; ${threadWords}`;
}

function definitionList(facts) {
  const rows = Object.entries(facts).map(([term, value]) =>
    made("div", {}, made("dt", { textContent: term }), made("dd", { textContent: value })));
  return made("dl", {}, ...rows);
}
