// Photographs that belong together, below the stage; arrow keys go from one to the next.

import { part } from "viewer";

// What a plain click on a link does in place of loading a page.
export function onClick(link, act) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    act();
  });
}

// Shows links, of which the one of the photograph on the stage has aria-current.
export function fillStrip(links) {
  const strip = part("strip");
  if (!strip) return;
  strip.replaceChildren(...links);
  strip.hidden = links.length < 2;
  strip.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], strip = part("strip"), { target } = event;
  if (!step || !strip || strip.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target !== document.body && !strip.contains(target)) return; // arrows turn the surface, and move points
  event.preventDefault();
  const links = [...strip.children], at = links.findIndex((each) => each.hasAttribute("aria-current"));
  links.at((at + step) % links.length).click();
});
