// What `rilievo page` wrote into the page: version, models, colours, examples and terms of measuring.

import { responseOf } from "./response.js";

const written = JSON.parse(document.getElementById("page-settings").textContent);

/** The settings; `colours` are the bytes of 256 colours, and `app` is there if a server is behind the page. */
export const settings = {
  ...written,
  colours: Uint8Array.from(written.colours.match(/../g), (byte) => parseInt(byte, 16)),
};

/** Whether another page shows this one. Then nothing can be given, and nothing is kept. */
export const isEmbedded = settings.app ? isEmbedPath() : new URLSearchParams(location.search).has("embed");

function isEmbedPath() {
  const base = new URL(document.baseURI).pathname;
  return /^embed(\/|$)/.test(location.pathname.slice(base.length));
}

/**
 * An example as a source; the first one if no example has this name.
 * @param {string | null} wanted
 * @returns {{example: string, name: string}}
 */
export function exampleNamed(wanted) {
  const examples = Object.entries(settings.examples);
  const [example, name] = examples.find(([id]) => id === wanted) ?? examples[0];
  return { example, name };
}

/**
 * The file of a source: a File, { example, name }, or { again, name } for the photograph of a result.
 * @returns {Promise<File>}
 */
export async function fileOf(source) {
  if (source instanceof Blob) return /** @type {File} */ (source);
  const address = source.example ? `examples/${source.example}.jpg` : `app/results/${source.again}/photo`;
  const response = await responseOf(address);
  return new File([await response.blob()], source.name);
}

/**
 * Addresses of a source on a page without a server: of the page, which is null for a photograph that only this browser
 * keeps, and of the view that other pages embed, which only examples have.
 * @param {{example?: string, own?: string}} source
 */
export function pageAddresses({ example, own }) {
  const embed = example && new URL(`?embed&example=${example}`, document.baseURI).href + location.hash;
  return { page: own ? null : location.href, embed };
}
