// Results of this browser as a strip of thumbnails, and the address of the result that is shown.
//
// An address names results as r/FIRST,SECOND, the one on the stage first, or as r/GROUP?photograph=2 if they have an
// address together.

import { made, part } from "viewer";
import { settings } from "./settings.js";
import { ZIPPED, tellZip } from "./sizes.js";
import { fillStrip, onClick } from "./strip.js";

const STORAGE_KEY = `rilievo results ${settings.app?.base}`;
const MAX_RESULTS = 40;
const FOREIGN_NAME = "a result that was shared with you";

/**
 * The results of this browser: draws them, changes the address, and stores what was added.
 * @param {object} page
 * @param {() => void} page.open Shows what the address names.
 */
export function historyOf({ open }) {
  const strip = part("history-results");
  // The group that the address names, and the ids of its results.
  let group = { id: "", members: [] };
  // Ids in the strip below the stage, in an order that stays while the visitor goes through them.
  let order = [];

  // Ids of the results that are shown, the one on the stage first.
  function ids() {
    const named = idsInPath();
    if (named[0] !== group.id) return named;
    const number = Number(new URLSearchParams(location.search).get("photograph")) || 1;
    return rotate(group.members, Math.max(1, number) - 1);
  }

  function draw() {
    const shown = ids();
    const stored = readStored();
    const foreign = shown.filter((id) => !stored.some((result) => result.id === id));
    const results = [...foreign.map((id) => ({ id, name: FOREIGN_NAME })), ...stored];
    strip.replaceChildren(...results.map((result) => makeTile(result, shown.includes(result.id))));
    drawStage(shown, results);
    drawZip(shown, results);
  }

  // The strip below the stage has the results that are shown together.
  function drawStage(shown, results) {
    const isWholeGroup = shown.length > 1 && shown.length === group.members.length;
    const isOrdered = shown.length === order.length && shown.every((id) => order.includes(id));
    if (isWholeGroup) order = group.members;
    else if (!isOrdered) order = shown;
    fillStrip(order.map((id) => makeTile(results.find((result) => result.id === id), id === shown[0])));
  }

  // One zip has the results that are shown together, or else all of them.
  function drawZip(shown, results) {
    const photographs = results.filter(({ kind }) => kind !== "video").map(({ id }) => id);
    const areTogether = shown.length > 1;
    const wanted = areTogether ? shown : photographs;
    const link = part("history-zip");
    link.hidden = wanted.length < 2;
    link.href = `app/zip?save=${ZIPPED.join()}&ids=${wanted.join()}`;
    tellZip(areTogether ? "These" : "All", wanted.length);
  }

  function makeTile({ id, name, model, kind }, isCurrent) {
    const title = [name, model].filter(Boolean).join(", ");
    const link = made("a", { href: `r/${id}`, title });
    if (kind === "video") {
      link.append(made("span", { textContent: `▶ ${name}` }));
    } else {
      const picture = made("img", { src: `app/results/${id}/thumbnail`, alt: title });
      // The server has forgotten this result.
      picture.addEventListener("error", () => {
        removeStored(id);
        link.remove();
      });
      link.append(picture);
    }
    if (isCurrent) link.setAttribute("aria-current", "page");
    onClick(link, () => choose(id));
    return link;
  }

  // Shows a result; of several that are shown together, the chosen one comes first.
  function choose(id) {
    const shown = ids();
    const index = shown.indexOf(id);
    const member = group.members.indexOf(id);
    if (index < 0) address([id]);
    else if (member >= 0) together(group.id, group.members, member);
    else address(rotate(shown, index));
    open();
  }

  // Sets the address to one of the results that have an address together.
  function together(id, members, member = 0) {
    group = { id, members };
    goTo(`r/${id}${member ? `?photograph=${member + 1}` : ""}`);
    draw();
  }

  // Sets the address to results, or else to an example. Its fragment are marks that go on, where the same photograph is
  // predicted anew.
  function address(resultIds, example = "", fragment = "") {
    const exampleAddress = example ? `?example=${example}` : ".";
    goTo(resultIds.length ? `r/${resultIds.join()}` : exampleAddress, fragment);
    draw();
  }

  part("forget").addEventListener("click", () => {
    store([]);
    address([]);
    open();
  });
  draw();
  return {
    ids,
    address,
    draw,
    together,
    // An address turns out to name a group.
    unfold(id, members) { group = { id, members }; },
    forget(id) {
      removeStored(id);
      draw();
    },
    // The key by which this browser changes the marks of a result that it made; empty for others.
    key: (id) => readStored().find((result) => result.id === id)?.key ?? "",
    add(result) {
      store([result, ...readStored().filter(({ id }) => id !== result.id)]);
      address([result.id], "", location.hash);
    },
  };
}

function idsInPath() {
  const path = location.pathname.slice(new URL(document.baseURI).pathname.length);
  if (!/^(r|embed)\//.test(path)) return [];
  return path.replace(/^[^/]*\//, "").split(",").filter(Boolean);
}

const rotate = (list, start) => [...list.slice(start), ...list.slice(0, start)];

function goTo(path, fragment = "") {
  const wanted = new URL(path, document.baseURI).href + fragment;
  if (wanted !== location.href) history.pushState(null, "", wanted);
}

// Results { id, name, model, key, kind } that this browser made, the newest first. A private window stores nothing.
function readStored() {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY)) ?? [];
  } catch {
    return [];
  }
}

function store(results) {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(results.slice(0, MAX_RESULTS)));
  } catch {
    // Then the results are found again by their addresses alone.
  }
}

function removeStored(id) {
  store(readStored().filter((result) => result.id !== id));
}
