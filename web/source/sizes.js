// Sizes beside the files that can be written, as such files of such a photograph usually have them.
//
// An element with data-size="fixed,slope,most" states the megabytes of its file: at most `most`, and otherwise `fixed`
// plus `slope` for each million pixels.

import { part } from "viewer";

/** Files of each photograph in a zip of several. */
export const ZIPPED = ["colour", "png16", "ply", "glb"];

// Em space before a size.
const GAP = "\u2002";

// The zip that is offered, and the pixels of the photograph that is shown [millions].
let zip = { words: "", count: 0 };
let megapixels = 0;

/**
 * Show the sizes of all files of a photograph.
 * @param {{width: number, height: number}} photo
 */
export function tellSizes({ width, height }) {
  megapixels = (width * height) / 1e6;
  let total = 0;
  for (const element of document.querySelectorAll("[data-size]")) {
    element.textContent = GAP + inWords(megabytesOf(element));
    if (element.closest("a[data-save]:not([hidden])")) total += megabytesOf(element);
  }
  const totalElement = document.querySelector("[data-save=all] .size");
  if (totalElement) totalElement.textContent = GAP + inWords(total);
  if (part("history-zip")) showZip();
}

/**
 * Show the size of a zip of several photographs, each about as large as the one that is shown.
 * @param {string} words Which photographs: "All" or "These".
 * @param {number} count
 */
export function tellZip(words, count) {
  zip = { words, count };
  showZip();
}

function showZip() {
  const elements = ZIPPED.map((name) => document.querySelector(`[data-save=${name}] [data-size]`));
  const megabytesEach = elements.reduce((sum, element) => sum + megabytesOf(element), 0);
  const size = megapixels ? `, about ${inWords(zip.count * megabytesEach)}` : "";
  part("history-zip").textContent = `${zip.words} ${zip.count} in one zip${size}`;
}

function megabytesOf(element) {
  const [fixed, slope, most] = element.dataset.size.split(",").map(Number);
  return Math.min(most, fixed + slope * megapixels);
}

function inWords(megabytes) {
  if (megabytes < 0.95) return `${Math.max(10, Math.round(100 * megabytes) * 10)} kB`;
  return `${megabytes.toFixed(megabytes < 9.5 ? 1 : 0)} MB`;
}
