// The answer to the first example, which came with the page as --save html writes one: it is shown
// until a network has answered.

import { inflate, made, unpack } from "viewer";

// The result and its surface, as the worker gives them; null where they did not come.
export async function firstAnswer() {
  const response = await fetch("first.html").catch(() => null);
  if (!response?.ok) return null;
  // Not parsed as a page, whose styles this page's policy would refuse.
  const text = await response.text(), inside = (id) => text.match(new RegExp(` id="${id}">([^]*?)</(script|div)>`))[1];
  const json = (id) => JSON.parse(inside(id)), { source, depth: { kind }, camera, made_by: madeBy } = json("rilievo");
  const bitmap = async (id) => {
    const picture = made("img", { src: text.match(new RegExp(`<img src="([^"]*)"[^>]* id="${id}">`))[1] });
    await picture.decode();
    return createImageBitmap(picture);
  };
  const [photo, depth, normals] = await Promise.all(["photo", "depth", "normals"].map(bitmap)), form = json("surface-form");
  return {
    result: { ...source, kind, madeBy, photo, depth, camera: { ...camera, degrees: camera.horizontal_fov }, notes: [], has: { normals: true, surface: true },
      hasSky: text.includes('class="sky"'), ticks: [...inside("ticks").matchAll(/<span>([^<]*)/g)].map(([, each]) => each) },
    rest: { normals, surface: { form, data: unpack(await inflate(inside("surface-data").trim()), form) } },
  };
}
