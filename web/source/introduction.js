// The first result shows once what is made of a photograph: depth wipes over it, and the surface over depth. Then a
// hint stands on the surface until it is turned; on a phone it is the line below the surface instead, which stays.

import { made, part } from "viewer";

// How long the wipe lasts [ms], as in the style of the page.
const WIPE_DURATION = 1600;

// When the wipe began; null before.
let wipeStart = null;
let isTurned = false;

// What an example hides at first; every result has a button of its own.
document.addEventListener("click", ({ target }) => {
  if (!(target instanceof Element) || target.id !== "measure-more") return;
  document.body.classList.add("measures");
  part("add-line").focus();
});

/** Wait until the wipe is over, if there is one. */
export function introduced() {
  const left = wipeStart === null ? 0 : Math.max(0, wipeStart + WIPE_DURATION - performance.now());
  return new Promise((resolve) => { setTimeout(resolve, left); });
}

/**
 * Introduce the surface of a result: by the wipe if it is the first one, and by the hint until one was turned.
 * @param {any} shown The surface as the viewer shows it.
 */
export function introduce(shown) {
  const canvas = part("surface");
  const scene = canvas.parentElement;
  const isWiping = wipeStart === null || performance.now() - wipeStart < WIPE_DURATION;
  const isCalm = shown.inside || shown.pose || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (isWiping && !isCalm) wipe(shown, scene);
  if (isTurned) return;

  const hint = made("p", { className: "hint", textContent: "Drag to turn the surface" });
  scene.append(hint);
  const end = () => {
    isTurned = true;
    scene.querySelector(".wipes")?.remove();
    hint.remove();
  };
  for (const kind of ["pointerdown", "keydown", "touchmove"]) {
    canvas.addEventListener(kind, end, { once: true, passive: true });
  }
}

// Lays the pictures over the surface, where it lies as the photograph's own camera sees it.
function wipe(shown, scene) {
  wipeStart ??= performance.now();
  const { left, top, width, height } = shown.box;
  const since = performance.now() - wipeStart;
  const layers = made("div", { className: "wipes" }, pictureLayer("depth"), pictureLayer("photo"));
  layers.setAttribute("aria-hidden", "true");
  layers.style.cssText = `left: ${left}px; top: ${top}px; width: ${width}px; height: ${height}px; --since: -${since}ms`;
  scene.append(layers);
  setTimeout(() => layers.remove(), WIPE_DURATION - since);
}

function pictureLayer(id) {
  const source = part(id);
  const layer = made("canvas", { width: source.width, height: source.height, className: `wipe ${id}` });
  layer.getContext("2d").drawImage(source, 0, 0);
  return layer;
}
