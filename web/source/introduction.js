// The first result shows once what is made of a photograph: depth wipes over it, and the surface over
// depth. Then words stand on the surface until it is turned.

import { made, part } from "viewer";

const LASTS = 1600; // ms, as in the style
let began = null, isTurned = false;

function layer(id) {
  const from = part(id), picture = made("canvas", { width: from.width, height: from.height, className: `wipe ${id}` });
  picture.getContext("2d").drawImage(from, 0, 0);
  return picture;
}

// Lays the pictures over the surface, where it lies at the photograph's own camera.
function wipe(shown, scene) {
  began ??= performance.now();
  const { left, top, width, height } = shown.box, since = performance.now() - began;
  const layers = made("div", { className: "wipes" }, layer("depth"), layer("photo"));
  layers.setAttribute("aria-hidden", "true");
  layers.style.cssText = `left: ${left}px; top: ${top}px; width: ${width}px; height: ${height}px; --since: -${since}ms`;
  scene.append(layers);
  setTimeout(() => layers.remove(), LASTS - since);
}

// What an example hides at first; every result has a button of its own.
document.addEventListener("click", ({ target }) => {
  if (!(target instanceof Element) || target.id !== "measure-more") return;
  document.body.classList.add("measures");
  part("add-line").focus();
});

// Ends with the wipe, if there is one.
export const introduced = () => new Promise((done) => { setTimeout(done, began === null ? 0 : Math.max(0, began + LASTS - performance.now())); });

export function introduce(shown) {
  const canvas = part("surface"), scene = canvas.parentElement;
  const isCalm = shown.inside || shown.pose || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!isCalm && (began === null || performance.now() - began < LASTS)) wipe(shown, scene);
  if (isTurned) return;
  const words = made("p", { className: "hint", textContent: "Drag to turn the surface" });
  scene.append(words);
  const end = () => {
    isTurned = true;
    scene.querySelector(".wipes")?.remove();
    words.remove();
  };
  for (const each of ["pointerdown", "keydown", "touchmove"]) canvas.addEventListener(each, end, { once: true, passive: true });
}
