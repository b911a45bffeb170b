// The result of one photograph: its pictures, surface, measurements and files.

import { enliven, intoAddress, inUnit, made, part, renew, saved, setStage, sharing } from "viewer";
import { introduce } from "./introduction.js";
import { anchoredTerms, doubtedTerms } from "./ranges.js";
import { savedPage } from "./saved_page.js";
import { settings } from "./settings.js";
import { showFacts } from "./shown_facts.js";

const KIND_SENTENCES = {
  metric: "Depth in metres.",
  up_to_scale: "Depth up to one unknown factor. Enter a known length to get metres.",
  affine: "Depth up to an unknown factor and shift, so there is no surface.",
  affine_inverse: "Inverse depth up to an unknown factor and shift, so there is no surface.",
};
// Sources of a camera that is only estimated, so that what is measured has wider error ranges.
const ESTIMATED_CAMERAS = ["assumed", "vanishing_points"];
const SURFACE_CONTROLS = "[data-needs=surface], #save-page, #save-turn";
const STEREO_BUTTONS = "[data-output=side], [data-output=anaglyph]";

// The stage of the pictures that are shown, and what `enliven` gives once there is a surface to measure on.
let stage = null;
let surfaceView = null;

addEventListener("hashchange", () => surfaceView?.load(location.hash.slice(1)));

/** The factor that makes depth metres, and the length that gives it; the factor is 0 if no length is known. */
export const currentMetres = () => surfaceView?.rule.metres ?? { factor: 0 };

/** The marks on the result that is shown, as the visitor left them; null before it has a surface. */
export const currentMarks = () => surfaceView?.chosen() ?? null;

/** Stop the surface from swaying, which leaves the processor to what is computed next. */
export function standStill() {
  surfaceView?.settle();
}

/**
 * Show the photograph and its depth, in place of the result before.
 * @param {any} result What the worker says of it, with pictures as bitmaps, which are used up.
 * @param {number} threads Threads that predicted it, for its facts.
 */
export function showPictures(result, threads) {
  renew();
  surfaceView = null;
  const main = part("result");
  main.replaceChildren(part("result-parts").content.cloneNode(true));

  const title = part("result-title");
  title.textContent = result.name;
  title.title = result.name; // a long name may be cut
  part("result-kind").textContent = KIND_SENTENCES[result.kind];
  drawBitmap("photo", result.photo);
  drawBitmap("depth", result.depth);
  if (!result.has.normals) part("normals").closest("figure").remove();
  part("ticks").replaceChildren(...result.ticks.map((tick) => made("span", { textContent: tick })));
  inUnit({ metric: result.kind === "metric" });
  if (result.hasSky) part("legend").prepend(made("span", { className: "sky", textContent: "sky" }));
  part("notes").textContent = result.notes.map(toSentence).join(" ");

  part("surface-state").textContent = "Making the surface …";
  if (!result.has.surface) part("surface-state").closest(".solid").remove();
  hideAll(STEREO_BUTTONS, result.camera?.lens === "equirectangular");
  hideAll(SURFACE_CONTROLS, !result.has.surface);
  showFacts(result, threads);
  main.hidden = false;
  stage = setStage(result.width / result.height);
}

function drawBitmap(id, bitmap) {
  const canvas = part(id);
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

const toSentence = (note) => `${note[0].toUpperCase()}${note.slice(1)}.`;

function hideAll(selector, isHidden) {
  const elements = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(selector));
  for (const element of elements) element.hidden = isHidden;
}

/**
 * Show the normals and the surface of the result whose pictures are shown, and let the visitor measure on it.
 * @param {any} result
 * @param {{normals: ImageBitmap | null, surface: any}} rest What the worker made after the pictures; the surface is
 *   null if nothing is left of it.
 * @param {object} page
 * @param {string | null} [page.marksToKeep] Marks of the result before, of the same photograph; null if there was none.
 * @param {(marks: string) => void} page.keepMarks Called when the visitor changed the marks.
 * @param {() => {page: string, embed: string}} page.addresses Addresses of the result; null for none.
 * @param {(text: string, isError?: boolean) => void} page.say
 */
export function showRest(result, { normals, surface }, { marksToKeep = null, keepMarks, addresses, say }) {
  if (normals) drawBitmap("normals", normals);
  const enableSharing = (shown) => sharing({ name: result.name, shown, addresses, say });
  enableSharing(null);
  if (!result.has.surface) return;

  const state = part("surface-state");
  if (!surface) {
    state.textContent = "The surface is empty.";
    hideAll(SURFACE_CONTROLS, true);
    return;
  }
  const stated = measuringTerms(result);
  const terms = { ...stated, floor: surface.floor ?? stated.floor, in_files: true };
  const marksOfAddress = location.hash.slice(1) || (result.marks ?? "");
  const changeMarks = (marks) => {
    intoAddress(marks);
    keepMarks(marks);
  };
  try {
    surfaceView = enliven(stage, surface.data, surface.form, terms, state, marksToKeep ?? marksOfAddress, changeMarks);
    if (marksToKeep) changeMarks(marksToKeep);
    enableSharing(surfaceView.shown);
    if (surfaceView.shown) introduce(surfaceView.shown);
    part("save-page").onclick = () => savePage(result, surface, terms, say);
  } catch (error) {
    state.textContent = `This browser cannot show the surface: ${error.message}`;
  }
}

// Terms of measuring. A server, and the answer that came with the page, state them.
function measuringTerms({ kind, camera, anchoring, doubt, terms: statedTerms }) {
  if (statedTerms) return statedTerms;
  const cameraTerms = ESTIMATED_CAMERAS.includes(camera.source) ? "assumed" : "known";
  if (!anchoring) return doubtedTerms(settings.terms[kind][cameraTerms], settings.doubt, doubt);
  const terms = anchoredTerms(settings.terms.anchored[cameraTerms], settings.misfit, anchoring);
  return { ...terms, metric: kind === "metric" };
}

async function savePage(result, surface, terms, say) {
  try {
    const page = await savedPage(result, surface, terms, surfaceView.now());
    saved(page, `${result.name.replace(/\.[^.]*$/, "")}.html`);
    say("The page was saved. It contains the pictures, the surface, your lines and the view, and opens in any browser.");
  } catch (error) {
    say(`The page cannot be saved: ${error.message}`, true);
  }
}
