// Results of this browser as a strip of thumbnails, and the address of the one that is shown.

import { made, part } from "viewer";
import { settings } from "./settings.js";
import { ZIPPED, tellZip } from "./sizes.js";
import { fillStrip, onClick } from "./strip.js";

const KEY = `rilievo results ${settings.app?.base}`, MOST = 40;

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return []; // a window that keeps nothing
  }
}

function keep(results) {
  try {
    localStorage.setItem(KEY, JSON.stringify(results.slice(0, MOST)));
  } catch {
    // nothing is kept then
  }
}

function forget(id) {
  keep(kept().filter((each) => each.id !== id));
}

// `open()` shows what the address names.
export function historyOf({ say, open }) {
  const strip = part("history-results");
  let order = []; // of results that are shown together
  let group = { id: "", members: [] }; // the address of those, and which they are

  // Addresses of the results that are shown, the one on the stage first: those of r/ONE,TWO, or of r/GROUP?photograph=2.
  const ids = () => {
    const path = location.pathname.slice(new URL(document.baseURI).pathname.length);
    const named = /^(r|embed)\//.test(path) ? path.replace(/^[^/]*\//, "").split(",").filter(Boolean) : [];
    if (named[0] !== group.id) return named;
    const at = Math.max(1, Number(new URLSearchParams(location.search).get("photograph")) || 1) - 1;
    return [...group.members.slice(at), ...group.members.slice(0, at)];
  };

  function tile({ id, name, model, kind }) {
    const words = [name, model].filter(Boolean).join(", ");
    const link = made("a", { href: `r/${id}`, title: words });
    if (kind === "video") link.append(made("span", { textContent: `▶ ${name}` }));
    else {
      const picture = made("img", { src: `app/results/${id}/thumbnail`, alt: words });
      picture.addEventListener("error", () => { forget(id); link.remove(); });
      link.append(picture);
    }
    if (ids().includes(id)) link.setAttribute("aria-current", "page");
    onClick(link, () => {
      // Of several that are shown together, the chosen one comes first.
      const all = ids(), at = all.indexOf(id), place = group.members.indexOf(id);
      if (at >= 0 && place >= 0) together(group.id, group.members, place);
      else address(at < 0 ? [id] : [...all.slice(at), ...all.slice(0, at)]);
      open();
    });
    return link;
  }

  function draw() {
    const shown = ids(), results = kept(), strangers = shown.filter((id) => !results.some((each) => each.id === id));
    const all = [...strangers.map((id) => ({ id, name: "a result that was sent to you" })), ...results];
    strip.replaceChildren(...all.map(tile));
    const many = all.filter(({ kind }) => kind !== "video").map(({ id }) => id), zip = part("history-zip");
    const wanted = shown.length > 1 ? shown : many;
    zip.hidden = wanted.length < 2;
    if (shown.length > 1 && shown.length === group.members.length) order = group.members;
    else if (shown.length !== order.length || !shown.every((id) => order.includes(id))) order = shown;
    fillStrip(order.map((id) => {
      const link = tile(all.find((each) => each.id === id));
      if (id !== shown[0]) link.removeAttribute("aria-current");
      return link;
    }));
    zip.href = `app/zip?save=${ZIPPED.join()}&ids=${wanted.join()}`;
    tellZip(shown.length > 1 ? "These" : "All", wanted.length);
  }

  // Shows one of the results that have a common address.
  function together(id, members, place = 0) {
    group = { id, members };
    const wanted = new URL(`r/${id}${place ? `?photograph=${place + 1}` : ""}`, document.baseURI).href;
    if (wanted !== location.href) history.pushState(null, "", wanted);
    draw();
  }

  // `marks` are those that go on, where the same photograph is predicted anew.
  function address(list, example = "", marks = "") {
    const wanted = new URL(list.length ? `r/${list.join()}` : example ? `?example=${example}` : ".", document.baseURI).href + marks;
    if (wanted !== location.href) history.pushState(null, "", wanted);
    draw();
  }

  part("forget").addEventListener("click", () => {
    keep([]);
    address([]);
    open();
  });
  draw();
  return {
    ids, address, draw, together,
    // Results that an address names turn out to be a group.
    unfold(id, members) { group = { id, members }; },
    forget(id) {
      forget(id);
      draw();
    },
    // The key by which this browser changes the marks of a result that it made.
    key: (id) => kept().find((each) => each.id === id)?.key ?? "",
    add(result) {
      keep([result, ...kept().filter(({ id }) => id !== result.id)]);
      address([result.id], "", location.hash);
    },
  };
}
