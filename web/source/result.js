// One photograph's pictures, surface, measurements and files.

import { enliven, made, part, renew, slide } from "viewer";
import { widened } from "./anchor.js";
import { settings } from "./settings.js";

const KINDS = {
  metric: "Depth in metres.", up_to_scale: "Depth up to one unknown factor: one known length makes it metres.",
  affine: "Depth up to an unknown factor and shift, so there is no surface.",
  affine_inverse: "Inverse depth up to an unknown factor and shift, so there is no surface.",
};
const SOURCES = { fov: "given as a field of view", exif_35mm: "from EXIF, 35 mm equivalent", exif_sensor: "from EXIF, focal length and sensor",
  predicted: "predicted by the model", vanishing_points: "from vanishing points", assumed: "assumed, and may be far off" };

function put(id, bitmap) {
  const canvas = part(id);
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

// How affine depth became a surface.
const told = ({ model, rank_correlation: order, residual, refused }) =>
  refused ?? `scale and shift are fitted to depth by ${model}; rank correlation ${order}, median difference ${(100 * residual).toFixed(1)} %`;

function facts({ name, width, height, camera, madeBy, seconds, place, anchoring }, threads) {
  const degrees = (360 / Math.PI) * Math.atan(width / 2 / camera.fx), { settings: how } = madeBy;
  const rows = { photograph: `${name}, ${width} × ${height} px`,
    camera: `${SOURCES[camera.source]}; ${degrees.toFixed(1)}° wide`, model: madeBy.model,
    "licence of the model": madeBy.licence, "SHA-256 of its weights": madeBy.weights_sha256,
    ...(anchoring && { anchored: told(anchoring) }),
    settings: Object.entries(how).map(([key, value]) => `${key} ${value}`).join(", "),
    ...(seconds && { time: `${seconds.all.toFixed(2)} s, of which ${seconds.read.toFixed(2)} s to read the file; ${threads === 1 ? "one thread" : `${threads} threads`}` }),
    "made by": `rilievo ${madeBy.version}, ${place ?? "in this browser"}` };
  part("facts").replaceChildren(...Object.entries(rows).map(([key, value]) =>
    made("div", {}, made("dt", { textContent: key }), made("dd", { textContent: value }))));
}

const GUESSED = ["assumed", "vanishing_points"];
let rule = null; // how lengths are told, once there is a surface

// The factor that makes depth metres, and the length that gives it; factor 0 where none is known.
export const metresNow = () => rule?.metres ?? { factor: 0 };

const dropSurface = () => { for (const each of part("result").querySelectorAll("[data-needs=surface]")) each.remove(); };

// Photograph and depth; `save(output, metres)` writes a file.
export function showPictures(result, { threads, save }) {
  renew();
  rule = null;
  const main = part("result");
  main.replaceChildren(part("result-parts").content.cloneNode(true));
  part("result-title").textContent = result.name;
  part("result-kind").textContent = KINDS[result.kind]
    + (result.camera.source === "assumed" ? " The camera is assumed, so angles of the surface may be off." : "");
  put("photo", result.photo);
  put("depth", result.depth);
  if (!result.has.normals) part("normals").closest("section").remove();
  part("ticks").replaceChildren(...result.ticks.map((each) => made("span", { textContent: each })));
  part("surface-state").textContent = result.has.surface ? "The surface is being made …" : KINDS[result.kind];
  if (!result.has.surface) dropSurface();
  facts(result, threads);
  slide(part("pair"));
  for (const button of main.querySelectorAll("button[data-output]")) {
    button.addEventListener("click", () => save(button.dataset.output, metresNow()));
  }
  main.hidden = false;
}

// Terms of measuring: those of anchored depth are wider where it fits worse (rilievo.measure.terms).
function termsOf({ kind, camera, anchoring }) {
  const source = GUESSED.includes(camera.source) ? "assumed" : "known";
  if (!anchoring) return settings.terms[kind][source];
  return { ...widened(settings.terms.anchored[source], settings.misfit, anchoring), metric: kind === "metric" };
}

// Normals, the surface, and all that is measured on it.
export function showRest(result, { normals, surface }) {
  if (normals) put("normals", normals);
  if (!result.has.surface) return;
  const state = part("surface-state");
  if (!surface) {
    state.textContent = "Nothing is left of the surface.";
    dropSurface();
    return;
  }
  const terms = { ...termsOf(result), floor: surface.floor, in_files: true };
  try {
    rule = enliven(document.querySelector(".stage"), surface.data, surface.form, terms, state);
  } catch (error) {
    state.textContent = `This browser cannot show the surface: ${error.message}`;
  }
}
