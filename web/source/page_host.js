// The page without a server: photographs stay in this browser, each at an address of its own.

import { intoAddress, made, part } from "viewer";
import { openChosen } from "./chosen_model.js";
import * as ownPhotographs from "./own_photographs.js";
import { exampleNamed, pageAddresses } from "./settings.js";
import { fillStrip, onClick } from "./strip.js";

// Pause before the second answer for the photograph with which the page opens [ms].
const OPENING_PAUSE = 2000;
const FORGOTTEN = "The photograph for this address is stored in another browser, or was deleted. This is an example.";

/**
 * The page alone as the host of its results.
 * @param {{say: any, predict: any, hasPhotograph: () => boolean}} page
 * @returns {import("./showing.js").Host}
 */
export function pageHost({ say, predict, hasPhotograph }) {
  // The query of the address whose photograph is shown.
  let shownSearch = "";

  // Shows what the address names: a photograph that is kept here, or an example.
  async function showAddress() {
    const query = new URLSearchParams(location.search);
    const id = query.get("own");
    const kept = id && await ownPhotographs.find(id);
    if (kept) {
      const file = new File([kept.file], kept.name, { type: kept.file.type });
      return predict(Object.assign(file, { own: kept.id, marks: kept.marks }));
    }
    const result = await predict(exampleNamed(query.get("example")), "", OPENING_PAUSE);
    if (id) say(FORGOTTEN, true);
    return result;
  }

  async function fillOwnStrip() {
    const photographs = await ownPhotographs.all();
    const shownId = new URLSearchParams(location.search).get("own");
    const makeLinks = () => photographs.map((photograph) => photographLink(photograph, shownId, showAddress));
    part("own").hidden = !photographs.length;
    part("own-photographs").replaceChildren(...makeLinks());
    const showsOwn = photographs.some(({ id }) => id === shownId);
    fillStrip(showsOwn ? makeLinks() : []);
  }

  // Keeps photographs; the first one, which is shown, is the newest.
  async function keepPhotographs(files) {
    const [first, ...others] = files;
    for (const file of others.reverse()) await ownPhotographs.keep(file);
    const id = await ownPhotographs.keep(first);
    if (!id) return;
    Object.assign(first, { own: id });
    history.pushState(null, "", new URL(`?own=${id}`, document.baseURI));
    shownSearch = location.search;
    fillOwnStrip();
  }

  part("forget").addEventListener("click", () => ownPhotographs.forget().then(fillOwnStrip));
  addEventListener("popstate", () => { if (location.search !== shownSearch) showAddress(); });
  return {
    async begin() {
      await openChosen();
      document.documentElement.dataset.ready = "";
      fillOwnStrip();
      if (!hasPhotograph()) await showAddress();
    },
    hasModel: () => false,
    starting() { shownSearch = location.search; },
    shown() { fillOwnStrip(); },
    keepMarks(result, source, marks) {
      if (source.own) ownPhotographs.mark(source.own, marks);
      // The address would name marks of a photograph that is not kept.
      else if (source instanceof Blob) intoAddress("");
    },
    addresses: (result, source) => pageAddresses(source),
    example(source) {
      const address = new URL(`?example=${source.example}`, document.baseURI).href;
      if (address !== location.href) history.pushState(null, "", address);
      predict(source);
    },
    take(files) {
      keepPhotographs(files);
      return false;
    },
  };
}

function photographLink({ id, name, file }, shownId, showAddress) {
  const picture = made("img", { src: URL.createObjectURL(file), alt: name });
  picture.onload = () => URL.revokeObjectURL(picture.src);
  // It is not a photograph, or one that this browser cannot read.
  picture.onerror = () => {
    URL.revokeObjectURL(picture.src);
    picture.replaceWith(made("span", { textContent: name }));
  };
  const link = made("a", { href: `?own=${id}`, title: name }, picture);
  if (id === shownId) link.setAttribute("aria-current", "page");
  onClick(link, () => {
    history.pushState(null, "", link.href);
    showAddress();
  });
  return link;
}
