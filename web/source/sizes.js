// Sizes beside files that are not written yet, as such files of such a photograph usually have them.

import { part } from "viewer";

export const ZIPPED = ["colour", "png16", "ply", "glb"]; // files of each photograph in a zip of several
/** @type {any[]} */
let zip = ["", 0];
let millions = 0;

const told = (megabytes) => (megabytes < 0.95 ? `${Math.max(10, Math.round(100 * megabytes) * 10)} kB` : `${megabytes.toFixed(megabytes < 9.5 ? 1 : 0)} MB`);

// Megabytes of a file, by the [data-size] that names it.
function usual(size) {
  const [least, pixel, most] = size.dataset.size.split(",").map(Number);
  return Math.min(most, least + pixel * millions);
}

// A zip of several photographs, each about as large as the one that is shown.
/** @param {any[]} next */
export function tellZip(...next) {
  zip = next;
  const each = ZIPPED.map((name) => document.querySelector(`[data-save=${name}] [data-size]`)).reduce((sum, size) => sum + Number(usual(size)), 0);
  part("history-zip").textContent = `${zip[0]} ${zip[1]} in one zip${millions ? `, about ${told(zip[1] * each)}` : ""}`;
}

export function tellSizes({ width, height }) {
  millions = (width * height) / 1e6;
  let sum = 0;
  for (const each of document.querySelectorAll("[data-size]")) {
    each.textContent = `\u2002${told(usual(each))}`;
    if (each.closest("a[data-save]:not([hidden])")) sum += usual(each);
  }
  const all = document.querySelector("[data-save=all] .size");
  if (all) all.textContent = `\u2002${told(sum)}`;
  if (part("history-zip")) tellZip(...zip);
}
