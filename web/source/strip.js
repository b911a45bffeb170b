// Photographs that belong together, below the stage; arrow keys go from one to the next.

import { part } from "viewer";

/**
 * Do something on a plain click on a link, in place of loading a page.
 * @param {HTMLElement} link
 * @param {() => void} act
 */
export function onClick(link, act) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    act();
  });
}

/**
 * Show links in the strip, which is hidden for fewer than two.
 * @param {HTMLElement[]} links The link of the photograph on the stage has aria-current.
 */
export function fillStrip(links) {
  const strip = part("strip");
  if (!strip) return;
  strip.replaceChildren(...links);
  strip.hidden = links.length < 2;
  strip.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const strip = part("strip");
  if (!step || !strip || strip.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  // Elsewhere arrow keys turn the surface, or move points.
  const { target } = event;
  if (target !== document.body && !strip.contains(target)) return;

  event.preventDefault();
  const links = [...strip.children];
  const current = links.findIndex((link) => link.hasAttribute("aria-current"));
  links.at((current + step) % links.length).click();
});
