// The page that holds a result, its lines and its view in one file, as --save html writes one:
// rilievo.pages.photograph. What lies beside the page has the scripts, and names what is filled in.

import { made, part, through } from "viewer";

const LAST_CODE = 65535, QUALITY = 0.88;

async function base64(bytes) {
  const address = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(new Blob([bytes]));
  });
  return address.slice(address.indexOf(",") + 1);
}

// Depth, faces and the sky's backdrop as rilievo.pages.relief packs them.
export async function packed({ depth, faces, sky }, form) {
  let nearest = Infinity, farthest = -Infinity;
  for (const z of depth) if (z) [nearest, farthest] = [Math.min(nearest, Math.log(z)), Math.max(farthest, Math.log(z))];
  const spacing = (farthest - nearest) / (LAST_CODE - 1), count = depth.length, bytes = new Uint8Array(2 * count + faces.length + (sky?.length ?? 0));
  const codes = Uint16Array.from(depth, (z) => (z ? 1 + Math.round(spacing > 0 ? (Math.log(z) - nearest) / spacing : 0) : 0));
  for (let at = 0; at < count; at++) {
    const step = (codes[at] - (at % form.columns ? codes[at - 1] : 0)) & 65535;
    [bytes[at], bytes[count + at]] = [step >> 8, step & 255];
  }
  bytes.set(faces, 2 * count);
  if (sky) bytes.set(sky, 2 * count + faces.length);
  return { form: { lens: "pinhole", ...form, nearest, spacing }, data: await base64(await through(bytes, new CompressionStream("deflate"))) };
}

const text = (words) => made("p", { textContent: words }).innerHTML.replaceAll('"', "&quot;");

const TITLES = { photo: "Photograph", depth: "Depth", normals: "Normals" };

const figure = (id) => `<figure><figcaption>${TITLES[id]}</figcaption><img src="${part(id).toDataURL("image/jpeg", QUALITY)}" alt="${TITLES[id]}" id="${id}"></figure>`;

// The page as text, of a result with its surface { data, form }, the terms of measuring and marks.
export async function savedPage({ name, width, height }, surface, terms, marks) {
  const response = await fetch("page-to-save.html");
  if (!response.ok) throw new Error("its template cannot be loaded; check your network connection");
  const { form, data } = await packed(surface.data, surface.form), own = (each) => text(each.dataset.own ?? each.textContent);
  const json = (value) => JSON.stringify(value).replaceAll("<", "\\u003c");
  const filled = { title: text(name), width, height, kind: own(part("result-kind")), facts: part("facts").innerHTML,
    pictures: Object.keys(TITLES).filter(part).map(figure).join(""),
    sky: part("legend").querySelector(".sky")?.outerHTML ?? "",
    ticks: [...part("ticks").children].map((each) => `<span>${own(each)}</span>`).join(""),
    "surface-form": json(form), "measure-terms": json({ ...terms, in_files: false }), "surface-data": data, "stage-marks": marks };
  const page = (await response.text()).replace(/@([a-z-]+)@/g, (all, word) => filled[word] ?? all);
  return new Blob([page], { type: "text/html" });
}
