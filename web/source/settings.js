// What `rilievo page` wrote into the page: version, models, colours and terms of measuring.

import { responseOf } from "./response.js";

const found = JSON.parse(document.getElementById("page-settings").textContent);

export const settings = { ...found, colours: Uint8Array.from(found.colours.match(/../g), (byte) => parseInt(byte, 16)) };

// The source that an example is; the first one where there is none of this name.
export function exampleNamed(wanted) {
  const all = Object.entries(settings.examples), [example, name] = all.find(([each]) => each === wanted) ?? all[0];
  return { example, name };
}

// The file of a source: a File, { example, name }, or { again, name } for the photograph of a result.
export async function fileOf(source) {
  if (source instanceof Blob) return source;
  const response = await responseOf(source.example ? `examples/${source.example}.jpg` : `app/results/${source.again}/photo`);
  return new File([await response.blob()], source.name);
}

// Inside another page nothing is given and nothing is kept.
export const isEmbedded = settings.app ? /^embed(\/|$)/.test(location.pathname.slice(new URL(document.baseURI).pathname.length))
  : new URLSearchParams(location.search).has("embed");
