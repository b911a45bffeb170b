// The answer to the first example, which came with the page as --save html writes one: it is shown
// until a network has answered.

import { inflate, made, unpack } from "viewer";

/**
 * Read the result and its surface, in the form in which the worker gives them.
 * @returns {Promise<{result: any, rest: any} | null>} Null if they did not come with the page.
 */
export async function firstAnswer() {
  const response = await fetch("first.html").catch(() => null);
  if (!response?.ok) return null;
  const page = await response.text();
  const { source, depth: { kind }, camera, made_by: madeBy } = jsonInside(page, "rilievo");
  const [photo, depth, normals] = await Promise.all(["photo", "depth", "normals"].map((id) => pictureInside(page, id)));
  const form = jsonInside(page, "surface-form");
  const surfaceData = await inflate(textInside(page, "surface-data").trim());
  const ticks = [...textInside(page, "ticks").matchAll(/<span>([^<]*)/g)].map(([, tick]) => tick);
  return {
    result: {
      ...source,
      kind,
      madeBy,
      photo,
      depth,
      camera: { ...camera, degrees: camera.horizontal_fov },
      terms: jsonInside(page, "measure-terms"),
      notes: [],
      has: { normals: true, surface: true },
      hasSky: page.includes('class="sky"'),
      ticks,
    },
    rest: { normals, surface: { form, data: unpack(surfaceData, form) } },
  };
}

// The page is not parsed as one, because this page's policy would refuse its styles.
const textInside = (page, id) => page.match(new RegExp(` id="${id}">([^]*?)</(script|div)>`))[1];
const jsonInside = (page, id) => JSON.parse(textInside(page, id));

async function pictureInside(page, id) {
  const [, address] = page.match(new RegExp(`<img src="([^"]*)"[^>]* id="${id}">`));
  const picture = made("img", { src: address });
  await picture.decode();
  return createImageBitmap(picture);
}
