// Everything that takes time, away from the page: networks, predictions, files. The page sends
// { id, act, ...what it needs } and hears { id, result }, { id, error } in the user's words, or
// { id, told } of how far a download, or a panorama, is.

import { onGrid } from "./anchor.js";
import { viewOf } from "./app_view.js";
import { colourRange, depthPicture, drawn, gridOf, normalsPicture, ticksOf } from "./colour.js";
import { floorOf } from "./floor.js";
import { glb } from "./glb.js";
import { fetched, openNetwork, prepare } from "./network.js";
import { bitmapOf, checkPixels, jpegOf, pixelsOf, readPhotograph } from "./photograph.js";
import { ply } from "./ply.js";
import { png16 } from "./png16.js";
import { inMetres, predict, surfaceOf } from "./prediction.js";
import { isDepth, networkSize } from "./preparation.js";
import { skyBehindObjects, upToSky } from "./skyline.js";
import { stereo } from "./stereo.js";
import { CUT, meshOf, stepFor } from "./surface.js";

const PHOTO_SIDE = 2048, TEXTURE_SIDE = 4096, SURFACE_POINTS = 150_000;
const CALM = 0.15; // share of a new frame's range in that of the colours, which flicker otherwise

// `latest` is what a network answered, `relief` the same as surfaces are made of it, null where they
// cannot be; `before` the photograph and, on a grid, the answer to which that of the second network is
// anchored.
let network = null, latest = null, relief = null, before = null, table = null, version = "", range = null;
let sharper = null; // the second network: { model, network }

async function opened(model, file, tell) {
  prepare().catch(() => {}); // while the network is fetched; openNetwork tells what failed
  return openNetwork(file ? new Uint8Array(await file.arrayBuffer()) : await fetched(model.file, tell), model);
}

async function open({ model, file }, tell) {
  const next = await opened(model, file, tell);
  await network?.close();
  [network, range] = [next, null];
  return { name: network.facts.name, threads: network.threads };
}

async function openSharper({ model }, tell) {
  if (sharper?.model.file !== model.file) {
    await sharper?.network.close();
    sharper = null;
    sharper = { model, network: await opened(model, null, tell) };
  }
  return { threads: sharper.network.threads };
}

function shapeOf(prediction) {
  if (!prediction) return null;
  /** @type {any} */
  const { lattice, faces, edge } = meshOf(prediction, stepFor(prediction, SURFACE_POINTS));
  if (!faces.some((each) => each & 6)) return null;
  const form = { rows: lattice.rows, columns: lattice.columns, first_row: lattice.firstRow,
    first_column: lattice.firstColumn, step: lattice.step, width: prediction.width, height: prediction.height, ...prediction.camera, jump: CUT.jump, edge };
  return {
    form: prediction.inWhole?.(form) ?? form,
    floor: floorOf(prediction),
    data: { depth: lattice.z.map((each, at) => (lattice.valid[at] ? each : 0)), faces },
  };
}

async function predictPhotograph({ file, name, options }, tell) {
  const began = performance.now(), photograph = await readPhotograph(file), read = performance.now();
  latest = await predict(network, photograph, name, options, version, tell);
  relief = isDepth(latest.kind) ? latest : null;
  before = { photograph, reference: { model: network.facts.name, values: onGrid(latest) } };
  return { ...await shown(latest), seconds: { read: (read - began) / 1000, all: (performance.now() - began) / 1000 } };
}

// The photograph of the latest answer by the second network, anchored to that answer.
async function sharpen({ options }) {
  const began = performance.now(), { photograph, reference } = before;
  latest = await predict(sharper.network, photograph, latest.name, options, version);
  /** @type {any} */
  const { prediction, anchoring } = surfaceOf(latest, reference);
  relief = prediction;
  const refused = anchoring?.refused ? [`there is no surface: ${anchoring.refused}`] : [];
  const doubts = anchoring?.remark ? [anchoring.remark] : [];
  return { ...await shown(relief ?? latest), notes: [...latest.notes, ...refused, ...doubts], anchoring,
    seconds: { read: 0, all: (performance.now() - began) / 1000 } };
}

async function shown(prediction) {
  const { name, height, width, kind, camera, madeBy, notes } = prediction;
  return { name, height, width, kind, camera, madeBy, notes, ...await colouredOf(prediction),
    photo: await bitmapOf(prediction.photo, camera.lens ? TEXTURE_SIDE : PHOTO_SIDE), has: { normals: Boolean(prediction.normalsAt), surface: isDepth(kind) } };
}

// The picture of depth with its sky, and what stands beside it.
async function colouredOf(prediction, limitsOf = colourRange) {
  const { kind } = prediction, sky = skyBehindObjects(prediction, drawn(kind), isDepth(kind));
  const seen = upToSky({ ...prediction, sky }, drawn(kind)), limits = limitsOf(seen);
  return { depth: await bitmapOf(depthPicture(seen, limits, table, gridOf(seen))), ticks: ticksOf(limits, kind), hasSky: Boolean(sky?.some(Boolean)) };
}

// The same of a result that the server made.
async function view({ address }) {
  const { prediction, photo, size, camera, ...facts } = await viewOf(address);
  latest = prediction;
  relief = isDepth(latest.kind) && latest.camera ? latest : null;
  return { ...facts, ...size, camera, photo, ...await colouredOf(latest),
    has: { normals: Boolean(latest.normalsAt), surface: Boolean(relief) } };
}

// What may come after the picture of depth: that of normals, and the surface.
async function rest() {
  const grid = gridOf(latest), surface = shapeOf(relief);
  const normals = latest.normalsAt && await bitmapOf(normalsPicture(latest.normalsAt(grid.rows, grid.columns), grid));
  return { normals, surface };
}

// One frame of the camera: a picture of its depth, at the network's size.
async function frame({ bitmap }) {
  // A network that was not made for it is slow, but runs.
  const size = network.facts.rule ? networkSize(network.facts, bitmap) : [bitmap.height, bitmap.width], picture = pixelsOf(bitmap, size, "medium");
  bitmap.close();
  const { depth, valid = null, sky } = await network.infer({ ...picture, camera: null }), { kind } = network.facts;
  const mixed = (one, other) => one + CALM * (other - one);
  return colouredOf({ ...depth, depth: depth.values, valid, sky: sky?.values.map((each) => (each > 0.5 ? 1 : 0)), kind }, (seen) => {
    const now = colourRange(seen);
    range = range ? { low: mixed(range.low, now.low), high: mixed(range.high, now.high) } : now;
    return range;
  });
}

// Files of depth keep the network's own answer, unless a known length makes it metres.
async function save({ output, metres, backing }) {
  if (!latest) throw new Error("the network has not answered yet: wait a moment");
  const ownAnswer = !metres?.factor && ["png16", "side", "anaglyph"].includes(output);
  const prediction = inMetres(ownAnswer ? latest : relief ?? latest, metres);
  if (output === "png16") return png16(prediction);
  if (output === "ply") return ply(prediction);
  if (output === "side" || output === "anaglyph") return stereo(prediction, output);
  return glb(prediction, await jpegOf(prediction.photo, TEXTURE_SIDE), backing);
}

function begin({ colours, version: own }) {
  [table, version] = [colours, own];
  if (typeof OffscreenCanvas === "undefined") {
    throw new Error("this browser is too old: Chrome 97, Firefox 114 or Safari 16.4 are new enough");
  }
  checkPixels();
  return null;
}

const ACTS = { begin, open, predict: predictPhotograph, openSharper, sharpen, view, rest, frame, save };
let turn = Promise.resolve();

self.onmessage = ({ data }) => {
  // One after the other: a network runs one photograph at a time.
  turn = turn.then(async () => {
    try {
      const result = await ACTS[data.act](data, (count, whole) => postMessage({ id: data.id, told: { count, whole } }));
      const handed = Object.values(result ?? {}).filter((each) => each instanceof ImageBitmap);
      postMessage({ id: data.id, result }, { transfer: handed });
    } catch (error) {
      postMessage({ id: data.id, error: error.message });
    }
  });
};
