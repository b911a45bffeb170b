// From a photograph to what a network sees, and back: rilievo.models.resampling.preparation and
// rilievo.models.resampling.preparation.

import { listOf } from "relief";
import { cameraFrom } from "./exif.js";
import { ANSWER_FILTERS, FILTERS, points, resizedField, resizedPicture, shrunk } from "./resample.js";

const KINDS = ["metric", "up_to_scale", "affine", "affine_inverse"];
const RULES = ["area", "fixed", "least-change", "shortest-edge", "longest-edge", "floor"];
const RESAMPLINGS = ["triangle", "bilinear", "bicubic", "lanczos", "bilinear-points", "bilinear-corners"];

// The depth of these kinds is a distance, from which there is a surface.
export const isDepth = (kind) => kind === "metric" || kind === "up_to_scale";

// The rule by which an answer is resized, from the text of a card: { space, filter, isBlended,
// nearest, farthest }, where 0 is no limit. rilievo.models.resampling.inference.
export function ruleOf(text) {
  const words = text.split(" "), taken = (known, usual) => (known(words[0]) ? words.shift() : usual);
  const space = taken((word) => ["values", "inverse", "log"].includes(word));
  const filter = taken((word) => word in ANSWER_FILTERS, "antialiased");
  const isBlended = Boolean(taken((word) => word === "blended")), [nearest, farthest] = words.length ? words.map(Number) : [0, 0];
  if (!space || !(nearest >= 0 && farthest >= nearest) || words.length > 2) throw new Error("its metadata makes no sense to this page");
  return { space, filter, isBlended, nearest, farthest };
}

// What a file's metadata says of its network. Throws an Error in the user's words.
export function factsOf(metadata) {
  const said = (name, usual) => {
    const value = metadata.get(`rilievo.${name}`) ?? usual;
    if (value === undefined) throw new Error(`its metadata rilievo.${name} is missing`);
    return value;
  };
  const version = metadata.get("rilievo.format");
  if (version !== "1" && version !== "2") {
    throw new Error("it does not say what it is: rilievo export FILE.onnx --kind KIND -o NEW.onnx writes a copy that does");
  }
  const kind = said("kind");
  if (!KINDS.includes(kind)) throw new Error(`this page shows depth, and its kind is ${kind}`);
  const [height, width] = said("size", "0x0").split("x").map(Number);
  const facts = {
    name: said("name"), licence: said("licence"), kind,
    needsFocal: version === "2" && said("focal") === "width",
    rule: version === "1" ? "area" : said("sizing"), height, width,
    area: Number(said("area")), multiple: Number(said("multiple")),
    resampling: said("resampling", "triangle"), padding: Number(said("padding", "0")),
    fill: Number(said("fill", "1")), precision: said("precision", "fp32"), back: said("back", "values"),
  };
  const numbers = [facts.height, facts.width, facts.area, facts.multiple, facts.padding, facts.fill];
  ruleOf(facts.back);
  if (!RULES.includes(facts.rule) || !RESAMPLINGS.includes(facts.resampling)
    || !numbers.every((each) => each >= 0 && Number.isFinite(each)) || !(facts.multiple >= 1)) {
    throw new Error("its metadata makes no sense to this page");
  }
  return facts;
}

// To the nearest whole number, halves to even, as Python's round.
function rounded(number) {
  const low = Math.floor(number), rest = number - low;
  if (rest !== 0.5) return Math.round(number);
  return low % 2 ? low + 1 : low;
}

// [height, width] of nearly `area` pixels, nearly the photograph's aspect, whole multiples.
function sizeByArea(height, width, { area, multiple }) {
  const tall = Math.sqrt((area * height) / width), wide = area / tall;
  const around = (ideal) => [0, 1].map((more) => Math.max(1, Math.floor(ideal)) + more);
  let best = null, least = Infinity;
  for (const rows of around(tall / multiple)) {
    for (const columns of around(wide / multiple)) {
      const size = [rows * multiple, columns * multiple];
      const aspect = Math.log((size[0] * width) / (size[1] * height));
      const misfit = 4 * Math.abs(aspect) + Math.abs(Math.log((size[0] * size[1]) / area));
      if (misfit < least) [best, least] = [size, misfit];
    }
  }
  return best;
}

function border(facts, height, width) {
  return [height, width].map((side) => Math.trunc(Math.sqrt(side / 2) * facts.padding));
}

// [height, width] at which a network sees a photograph.
export function networkSize(facts, inner) {
  const [above, beside] = border(facts, inner.height, inner.width);
  const height = inner.height + 2 * above, width = inner.width + 2 * beside, { multiple } = facts;
  const down = (length) => Math.max(1, Math.floor(length / multiple)) * multiple;
  const near = (length) => Math.max(1, rounded(length / multiple)) * multiple;
  if (facts.rule === "area") return sizeByArea(height, width, facts);
  if (facts.rule === "fixed") return [facts.height, facts.width];
  if (facts.rule === "floor") {
    const scale = Math.min(1, Math.sqrt(facts.area / (height * width)));
    return [down(height * scale), down(width * scale)];
  }
  let scale;
  if (facts.rule === "shortest-edge") scale = facts.height / Math.min(height, width);
  else if (facts.rule === "longest-edge") scale = facts.height / Math.max(height, width);
  else {
    const tall = facts.height / height, wide = facts.width / width;
    scale = Math.abs(1 - wide) < Math.abs(1 - tall) ? wide : tall;
  }
  return [near(scale * height), near(scale * width)];
}

// The photograph at the network's size: { height, width, data }, three numbers of 0 to 255 a pixel.
export function prepared(facts, photo) {
  const size = networkSize(facts, photo), [height, width] = size;
  if (facts.resampling.startsWith("bilinear-")) {
    const corners = facts.resampling === "bilinear-corners";
    return { height, width, data: points(photo, size, corners, border(facts, photo.height, photo.width)) };
  }
  const same = photo.height === height && photo.width === width;
  const small = facts.resampling === "triangle" ? shrunk(photo, size)
    : same ? photo : resizedPicture(photo, size, FILTERS[facts.resampling]);
  return { height, width, data: Uint8Array.from(small.values.filter((_, at) => at % 4 < 3)) };
}

// The part of an answer that shows the photograph, without the border around it.
function inside(facts, field, photo, filter = "antialiased") {
  const borders = border(facts, photo.height, photo.width);
  const size = facts.padding ? [photo.height, photo.width] : networkSize(facts, photo);
  const [rows, columns] = borders.map((edge, axis) => {
    const gap = (facts.fill - (size[axis] % facts.fill)) % facts.fill;
    const [before, after] = edge ? [edge, edge] : [gap >> 1, gap - (gap >> 1)];
    const length = axis ? field.width : field.height, scale = length / (before + size[axis] + after);
    return { any: before + after > 0, start: before * scale, end: length - after * scale };
  });
  if (!rows.any && !columns.any) return field;
  const box = [columns.start, rows.start, columns.end, rows.end], whole = [photo.height, photo.width];
  const large = resizedField(field, whole, box, ANSWER_FILTERS[filter]);
  return filter === "cubic" && isDepth(facts.kind) ? positive(large, () => inside(facts, field, photo, "linear")) : large;
}

// A field in which cubic resizing left depth beside edges below zero, with linear numbers there.
export function positive(field, linear) {
  if (field.values.every((each) => each > 0)) return field;
  const { values } = linear();
  return { ...field, values: field.values.map((each, at) => (each > 0 ? each : values[at])) };
}

const times = (field, factor) => ({ ...field, values: field.values.map((each) => each * factor) });

// What a network answered for a photograph: { depth, normals: three fields or null, confidence or
// null, camera or null }, at its own size. `outputs` are { dims, data } by name.
export function answer(facts, outputs, photo) {
  function fields(name, count, filter) {
    const output = outputs[name];
    if (!output) return null;
    const [height, width] = output.dims.slice(-2), pixels = height * width;
    if (output.data.length !== count * pixels) throw new Error(`its output ${name} has the shape ${output.dims.join(" × ")}`);
    return listOf(count, (each) =>
      inside(facts, { height, width, values: output.data.slice(each * pixels, (each + 1) * pixels) }, photo, filter));
  }
  const { filter } = ruleOf(facts.back), [depth] = fields("depth", 1, filter) ?? [];
  if (!depth) throw new Error("it has no output named depth");
  const fov = outputs.fov?.data[0], camera = photo.camera ?? (fov ? cameraFrom(fov, photo, "predicted") : null);
  let near = depth;
  if (facts.needsFocal) {
    if (!camera) throw new Error("it needs the focal length, which this photograph does not say");
    near = times(near, camera.fx / photo.width);
  }
  if (!near.values.every((each) => Number.isFinite(each) && (each > 0 || !isDepth(facts.kind)))) {
    throw new Error("it answered with numbers that are no depth");
  }
  return { depth: near, normals: fields("normals", 3, filter), confidence: fields("confidence", 1)?.[0] ?? null,
    sky: fields("sky", 1)?.[0] ?? null, camera };
}
