// One photograph's pictures, surface, measurements and files.

import { enliven, intoAddress, inUnit, made, part, renew, saved, setStage, sharing } from "viewer";
import { widened } from "./anchor.js";
import { introduce } from "./introduction.js";
import { savedPage } from "./saved_page.js";
import { settings } from "./settings.js";
import { showFacts } from "./shown_facts.js";

const KINDS = {
  metric: "Depth in metres.", up_to_scale: "Depth up to one unknown factor: one known length makes it metres.",
  affine: "Depth up to an unknown factor and shift, so there is no surface.",
  affine_inverse: "Inverse depth up to an unknown factor and shift, so there is no surface.",
};

function put(id, bitmap) {
  const canvas = part(id);
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

const GUESSED = ["assumed", "vanishing_points"];
let alive = null; // how lengths are told and marks are kept, once there is a surface

// The factor that makes depth metres, and the length that gives it; factor 0 where none is known.
export const metresNow = () => alive?.rule.metres ?? { factor: 0 };

// The surface that is shown stops to sway, and leaves the processor to what is computed next.
export function standStill() {
  alive?.settle();
}

// Marks of the result that is shown, as the visitor has left them; null before it has a surface.
export const marksNow = () => alive?.chosen() ?? null;

let stage = null;

function needSurface(hasSurface) {
  for (const each of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-needs=surface], #save-page, #save-turn"))) each.hidden = !hasSurface;
}

// Photograph and depth.
export function showPictures(result, { threads }) {
  renew();
  alive = null;
  const main = part("result");
  main.replaceChildren(part("result-parts").content.cloneNode(true));
  const isRound = result.camera?.lens === "equirectangular";
  part("result-title").textContent = part("result-title").title = result.name; // a long one may be cut
  part("result-kind").textContent = KINDS[result.kind];
  put("photo", result.photo);
  put("depth", result.depth);
  if (!result.has.normals) part("normals").closest("figure").remove();
  part("ticks").replaceChildren(...result.ticks.map((each) => made("span", { textContent: each })));
  inUnit({ metric: result.kind === "metric" });
  part("notes").textContent = result.notes.map((each) => `${each[0].toUpperCase()}${each.slice(1)}.`).join(" ");
  if (result.hasSky) part("legend").prepend(made("span", { className: "sky", textContent: "sky" }));
  part("surface-state").textContent = "Making the surface …";
  if (!result.has.surface) part("surface-state").closest(".solid").remove();
  for (const each of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-output=side], [data-output=anaglyph]"))) each.hidden = isRound;
  needSurface(result.has.surface);
  showFacts(result, threads);
  main.hidden = false;
  stage = setStage(result.width / result.height);
}

// Terms of measuring: those of anchored depth are wider where it fits worse (rilievo.measure.page_terms).
// The app's server has the model's confidence too, and states them itself.
function termsOf({ kind, camera, anchoring, terms }) {
  if (terms) return terms;
  const source = GUESSED.includes(camera.source) ? "assumed" : "known";
  if (!anchoring) return settings.terms[kind][source];
  return { ...widened(settings.terms.anchored[source], settings.misfit, anchoring), metric: kind === "metric" };
}

addEventListener("hashchange", () => alive?.load(location.hash.slice(1)));

// Normals, the surface, and all that is measured on it. `before` are the marks of the result that this one
// replaces, of the same photograph; null where it replaces none.
export function showRest(result, { normals, surface }, { before = null, keep, addresses, say }) {
  if (normals) put("normals", normals);
  const handOn = (shown) => sharing({ name: result.name, shown, addresses, say });
  handOn(null);
  if (!result.has.surface) return;
  const state = part("surface-state");
  if (!surface) {
    state.textContent = "Nothing is left of the surface.";
    needSurface(false);
    return;
  }
  const terms = { ...termsOf(result), floor: surface.floor, in_files: true };
  const keepMarks = (marks) => {
    intoAddress(marks);
    keep(marks);
  };
  try {
    alive = enliven(stage, surface.data, surface.form, terms, state, before ?? (location.hash.slice(1) || (result.marks ?? "")), keepMarks);
    if (before) keepMarks(before);
    handOn(alive.shown);
    if (alive.shown) introduce(alive.shown);
    part("save-page").onclick = async () => {
      try {
        saved(await savedPage(result, surface, terms, alive.now()), `${result.name.replace(/\.[^.]*$/, "")}.html`);
        say("The page is written: it holds pictures, surface, lines and view, and opens anywhere.");
      } catch (error) {
        say(`The page: ${error.message}`, true);
      }
    };
  } catch (error) {
    state.textContent = `This browser cannot show the surface: ${error.message}`;
  }
}
