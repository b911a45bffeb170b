// The worker of the page, which does everything that takes time: networks, predictions, files.
//
// The page sends { id, act, ...arguments } and gets { id, result }, or { id, error } in the user's words. While an act
// runs, it gets { id, progress: { count, whole } } of a download [bytes], or of the views of a panorama.

import { sampleOnGrid } from "./anchor.js";
import { fetchView } from "./app_view.js";
import { colourRange, depthPicture, gridOf, normalsPicture, pictureQuantity, ticksOf } from "./colour.js";
import { floorOf } from "./floor.js";
import { glb } from "./glb.js";
import { download, loadRuntime, openNetwork } from "./network.js";
import { bitmapOf, checkPixels, pixelsOf, readPhotograph, textureOf } from "./photograph.js";
import { ply } from "./ply.js";
import { png16 } from "./png16.js";
import { inMetres, predict, surfacePrediction } from "./prediction.js";
import { isDepth, networkSize } from "./preparation.js";
import { skyPlane } from "./sky_backdrop.js";
import { extendGroundToSky, skyBehindObjects } from "./skyline.js";
import { stereo } from "./stereo.js";
import { CUT, meshOf, surfaceStep } from "./surface.js";

// Longer side of the photograph that the page shows [px], and of the texture of a surface.
const PHOTO_SIDE = 2048;
const TEXTURE_SIDE = 4096;
// Points of the surface that the page draws.
const MAX_SURFACE_POINTS = 150_000;
// Share of a new frame's range in that of the camera's colours, which flicker otherwise.
const RANGE_SHARE = 0.15;
// Chance from which a pixel is sky.
const MIN_SKY = 0.5;
// Files of depth, which hold the network's own answer.
const DEPTH_OUTPUTS = ["png16", "side", "anaglyph"];

let colourTable = null;
let version = "";
// The network of the page, and the sharper one that answers second, with the model that it is of.
let network = null;
let sharper = null;
// The answer that is shown, and the same as surfaces are made of it, which is null if there is no surface.
let latest = null;
let solid = null;
// The photograph of the first answer, and this answer on a grid, to which the second one is anchored.
let firstAnswer = null;
// Range of the colours of the camera's frames.
let cameraRange = null;

const ACTS = {
  begin,
  open: openFirst,
  openSharper,
  predict: predictPhotograph,
  sharpen,
  view: showServerResult,
  rest: makeRest,
  frame: predictFrame,
  save: makeFile,
};

// One act after the other, because a network runs one photograph at a time.
let queue = Promise.resolve();
self.onmessage = ({ data }) => {
  queue = queue.then(() => runAct(data));
};

async function runAct({ id, act, ...request }) {
  const tell = (count, whole) => postMessage({ id, progress: { count, whole } });
  try {
    const result = await ACTS[act](request, tell);
    const transfer = Object.values(result ?? {}).filter((value) => value instanceof ImageBitmap);
    postMessage({ id, result }, { transfer });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
}

function begin(settings) {
  colourTable = settings.colours;
  version = settings.version;
  if (typeof OffscreenCanvas === "undefined") {
    throw new Error("this browser is too old: use Chrome 97, Firefox 114, Safari 16.4 or later");
  }
  checkPixels();
  return null;
}

// Opens a model that is listed, or an ONNX file of the visitor, in place of the network before.
async function openFirst({ model, file }, tell) {
  const opened = file ? await openFile(file) : await openModel(model, tell);
  await network?.close();
  network = opened;
  cameraRange = null;
  return { name: network.card.name, threads: network.threads };
}

async function openSharper({ model }, tell) {
  if (sharper?.model.file !== model.file) {
    await sharper?.network.close();
    sharper = null;
    sharper = { model, network: await openModel(model, tell) };
  }
  return { threads: sharper.network.threads };
}

async function openModel(model, tell) {
  loadRuntimeMeanwhile();
  return openNetwork(await download(model.file, tell), model);
}

async function openFile(file) {
  loadRuntimeMeanwhile();
  return openNetwork(new Uint8Array(await file.arrayBuffer()));
}

// Loads the runtime while the network comes. What fails is told by openNetwork, which waits for it.
function loadRuntimeMeanwhile() {
  loadRuntime().catch(() => {});
}

async function predictPhotograph({ file, name, options }, tell) {
  const start = performance.now();
  const photograph = await readPhotograph(file);
  const readEnd = performance.now();
  latest = await predict(network, photograph, name, options, version, tell);
  solid = isDepth(latest.kind) ? latest : null;
  firstAnswer = { photograph, reference: { model: network.card.name, values: sampleOnGrid(latest) } };
  const shown = await makePictures(latest);
  return { ...shown, seconds: { read: (readEnd - start) / 1000, all: secondsSince(start) } };
}

// Predicts the photograph of the first answer by the sharper network.
async function sharpen({ options }) {
  const start = performance.now();
  latest = await predict(sharper.network, firstAnswer.photograph, latest.name, options, version);
  const { prediction, anchoring } = surfacePrediction(latest, firstAnswer.reference);
  solid = prediction;
  const shown = await makePictures(solid ?? latest);
  const notes = [...latest.notes];
  if (anchoring?.refused) notes.push(`there is no surface: ${anchoring.refused}`);
  if (anchoring?.remark) notes.push(anchoring.remark);
  return { ...shown, notes, anchoring, seconds: { read: 0, all: secondsSince(start) } };
}

const secondsSince = (start) => (performance.now() - start) / 1000;

// What the page shows first of a prediction.
async function makePictures(prediction) {
  const { name, height, width, kind, camera, madeBy, notes, doubt } = prediction;
  const depthPictures = await drawDepth(prediction);
  const photo = await bitmapOf(prediction.photo, camera.lens ? TEXTURE_SIDE : PHOTO_SIDE);
  const has = { normals: Boolean(prediction.normalsAt), surface: isDepth(kind) };
  return { name, height, width, kind, camera, madeBy, notes, doubt, ...depthPictures, photo, has };
}

// The picture of depth, the ticks below its colours, and whether it shows sky.
async function drawDepth(prediction, rangeOf = colourRange) {
  const { kind } = prediction;
  const quantityOf = pictureQuantity(kind);
  const sky = skyBehindObjects(prediction, quantityOf, isDepth(kind));
  const drawn = extendGroundToSky({ ...prediction, sky }, quantityOf);
  const range = rangeOf(drawn);
  const depth = await bitmapOf(depthPicture(drawn, range, colourTable, gridOf(drawn)));
  return { depth, ticks: ticksOf(range, kind), hasSky: Boolean(sky?.some(Boolean)) };
}

// The same as predictPhotograph for a result that the server made.
async function showServerResult({ address }) {
  const { prediction, photo, size, camera, ...facts } = await fetchView(address);
  latest = prediction;
  solid = isDepth(latest.kind) && latest.camera ? latest : null;
  const has = { normals: Boolean(latest.normalsAt), surface: Boolean(solid) };
  return { ...facts, ...size, camera, photo, ...await drawDepth(latest), has };
}

// What may come after the picture of depth: the picture of normals, and the surface.
async function makeRest() {
  const surface = solid && makeSurface(solid);
  if (!latest.normalsAt) return { normals: latest.normalsAt, surface };
  const grid = gridOf(latest);
  const picture = normalsPicture(latest.normalsAt(grid.rows, grid.columns), grid);
  return { normals: await bitmapOf(picture), surface };
}

// The surface as the page draws it: its form, its floor, its depth and faces, and the flags of the sky's backdrop, if
// there is one; null if no triangle is left.
function makeSurface(prediction) {
  const { lattice, faces, edge } = meshOf(prediction, surfaceStep(prediction, MAX_SURFACE_POINTS));
  if (!faces.some((bits) => bits & 6)) return null;
  const sky = skyPlane(prediction);
  const form = {
    rows: lattice.rows,
    columns: lattice.columns,
    first_row: lattice.firstRow,
    first_column: lattice.firstColumn,
    step: lattice.step,
    width: prediction.width,
    height: prediction.height,
    ...prediction.camera,
    jump: CUT.jump,
    edge,
    sky: sky?.form,
  };
  return {
    form: prediction.formInPhotograph?.(form) ?? form,
    floor: floorOf(prediction),
    data: { depth: lattice.z.map((z, point) => (lattice.valid[point] ? z : 0)), faces, sky: sky?.flags },
  };
}

// The picture of depth of one frame of the camera, at the network's size.
async function predictFrame({ bitmap }) {
  const { card } = network;
  // A network whose input has any size is slow, but runs.
  const size = card.rule ? networkSize(card, bitmap) : [bitmap.height, bitmap.width];
  const picture = pixelsOf(bitmap, size, "medium");
  bitmap.close();
  const answer = await network.infer({ ...picture, camera: null });
  const prediction = {
    ...answer.depth,
    depth: answer.depth.values,
    valid: answer.valid ?? null,
    sky: answer.sky?.values.map((chance) => (chance > MIN_SKY ? 1 : 0)),
    kind: card.kind,
  };
  return drawDepth(prediction, steadyRange);
}

// The range of a frame's colours, which follows the range of its depth slowly.
function steadyRange(prediction) {
  const range = colourRange(prediction);
  if (!cameraRange) {
    cameraRange = range;
    return range;
  }
  const mix = (before, now) => before + RANGE_SHARE * (now - before);
  cameraRange = { low: mix(cameraRange.low, range.low), high: mix(cameraRange.high, range.high) };
  return cameraRange;
}

// Files of depth hold the network's own answer, unless a known length makes it metres.
async function makeFile({ output, metres, backing }) {
  if (!latest) throw new Error("the model has not finished yet: wait a moment");
  const isOwnAnswer = !metres?.factor && DEPTH_OUTPUTS.includes(output);
  const prediction = inMetres(isOwnAnswer ? latest : solid ?? latest, metres);
  if (output === "png16") return png16(prediction);
  if (output === "ply") return ply(prediction);
  if (output === "side" || output === "anaglyph") return stereo(prediction, output);
  return glb(prediction, (soft) => textureOf(prediction.photo, TEXTURE_SIDE, soft), backing);
}
