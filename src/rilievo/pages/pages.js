"use strict";
// What all pages share. Without this script tables keep their order, and images stand one below the other.

// Headings of tables that may be sorted become buttons.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = made("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => {
        // Small print below a number does not count.
        const cell = row.cells[column], text = (cell.firstElementChild ?? cell).textContent.trim();
        const number = Number(text.replaceAll(",", "").replace("*", ""));
        return { row, text, number: text === "–" || text === "" ? null : number };
      });
      rows.sort((a, b) => {
        if (a.number === null || b.number === null) return (a.number === null) - (b.number === null);
        const order = Number.isNaN(a.number) || Number.isNaN(b.number)
          ? a.text.localeCompare(b.text, undefined, { numeric: true }) : a.number - b.number;
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows.map(({ row }) => row));
    });
  });
}

const figures = (card) => [...card.querySelectorAll("figure[data-title]")];

// Two pictures of a card, one over the other, with a line between them; null without both.
function stage(card, titles) {
  const chosen = titles.map((title) => figures(card).find((each) => each.dataset.title === title));
  if (!chosen[0] || !chosen[1]) return null;
  return slider(chosen.map((each) => ({ title: each.dataset.title, picture: each.querySelector("img").cloneNode() }))).stage;
}

function chooser(words, titles, chosen, changed) {
  const select = made("select", {}, ...titles.map((title) => new Option(title, title, title === chosen, title === chosen)));
  select.addEventListener("change", () => changed(select.value));
  return made("label", {}, words, select);
}

// One image at a time, chosen from a strip, its pictures two by two under the slider.
for (const viewer of document.querySelectorAll("[data-viewer]")) {
  const cards = [...viewer.querySelectorAll("article")];
  const titles = [...new Set(cards.flatMap((card) => figures(card).map((each) => each.dataset.title)))];
  const sides = [viewer.dataset.left, viewer.dataset.right];
  const strip = made("div", { className: "strip" }), bar = made("div", { className: "choices" });
  const show = (chosen) => {
    cards.forEach((card, place) => {
      card.hidden = card !== chosen;
      strip.children[place]?.setAttribute("aria-pressed", String(card === chosen));
    });
    const panels = chosen.querySelector(".panels"), made = stage(chosen, sides);
    chosen.querySelector(".stage")?.remove();
    if (made) panels.before(made);
    if (titles.length > 1) chosen.prepend(bar);
    chosen.classList.toggle("staged", made !== null);
    chosen.classList.toggle("wide", made !== null && made.firstChild.getAttribute("width") > 2 * made.firstChild.getAttribute("height"));
  };
  const current = () => cards.find((card) => !card.hidden);
  for (const card of cards) {
    const image = figures(card)[0]?.querySelector("img").cloneNode();
    if (image) image.alt = "";
    const words = made("span", {}, `${card.dataset.label} `, made("b", { textContent: card.dataset.value }));
    const button = made("button", { type: "button" }, ...(image ? [image] : []), words);
    button.addEventListener("click", () => show(card));
    strip.append(button);
  }
  ["Left ", "Right "].forEach((words, side) => bar.append(
    chooser(words, titles, sides[side], (title) => { sides[side] = title; show(current()); })));
  if (cards.length > 1) viewer.prepend(strip);
  if (cards.length) show(cards[0]);
}

// Paper unfolds nothing by itself.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
