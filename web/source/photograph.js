// A photograph's file, or a frame of the camera, as pixels: upright, in sRGB, over white. What is
// transparent is black, has no depth and is told, as rilievo.io.photographs.photo does it.

import { exifCamera } from "./exif.js";
import { isPanorama } from "./panorama.js";

const MOST_PIXELS = 12_600_000; // 4096 x 3072 of a phone is 12.58 million
const LEAST_SIDE = 32;
const HALF = 128; // alpha below which a pixel counts as transparent
const LOOKED_AT = 2 ** 13, LEAST_LEVELS = 16; // pixels of which contrast is measured; levels of 8 bits

function drawn(bitmap, height, width, quality, background = "white") {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (background) {
    context.fillStyle = background;
    context.fillRect(0, 0, width, height);
  }
  context.imageSmoothingQuality = quality;
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// Throws an Error where the browser gives pages noise in place of pixels, as Tor and LibreWolf do.
export function checkPixels() {
  const colour = [10, 200, 30], canvas = new OffscreenCanvas(8, 8), context = canvas.getContext("2d");
  context.fillStyle = `rgb(${colour.join()})`;
  context.fillRect(0, 0, 8, 8);
  const { data } = context.getImageData(0, 0, 8, 8);
  if (data.every((each, at) => each === (colour[at % 4] ?? 255))) return;
  throw new Error("this browser hides the pixels of pictures from pages (privacy.resistFingerprinting), so depth "
    + "cannot be predicted: allow this site to read canvas data, and reload the page");
}

// The pixels of a bitmap at a size; `quality` of making it smaller is low, medium or high.
/** @param {any} bitmap @param {number[]} size */
export function pixelsOf(bitmap, [height, width], quality = "high") {
  const { data } = drawn(bitmap, height, width, quality);
  return { height, width, values: data };
}

// The transparent pixels of a bitmap at a size, as a mask; null if there are none.
/** @param {any} bitmap @param {number[]} size */
function transparentOf(bitmap, [height, width]) {
  const { data } = drawn(bitmap, height, width, "high", null), mask = new Uint8Array(height * width);
  let count = 0;
  for (let at = 0; at < mask.length; at++) if (data[4 * at + 3] < HALF) count += mask[at] = 1;
  if (count === mask.length) throw new Error("all of its pixels are transparent, so there is nothing to predict");
  return count ? { mask, share: count / mask.length } : null;
}

// The 1st and the 99th percentile of the levels of what a picture shows.
/** @param {any} picture */
function levelsOf({ height, width, values, transparent }) {
  const step = Math.max(1, Math.floor(Math.sqrt((height * width) / LOOKED_AT))), count = new Uint32Array(256);
  let all = 0;
  for (let row = 0; row < height; row += step) {
    for (let column = 0; column < width; column += step) {
      const at = row * width + column;
      if (transparent?.[at]) continue;
      for (let channel = 0; channel < 3; channel++, all++) count[values[4 * at + channel]]++;
    }
  }
  return [0.01, 0.99].map((share) => {
    let below = 0;
    return count.findIndex((each) => (below += each) >= share * all);
  });
}

const isJpeg = (bytes) => bytes[0] === 0xff && bytes[1] === 0xd8;
// A PNG file says its bits and its kind of colour, 0 for grey, behind its size.
const isGrey16 = (bytes) => bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[24] === 16 && bytes[25] === 0;

// A picture { height, width, values, transparent } with its camera (null where unknown), whether it is a
// panorama, and notes for the user.
// Throws an Error in the user's words.
export async function readPhotograph(file) {
  if (!file.size) throw new Error("the file is empty: choose another photograph");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error("this browser cannot read it as a photograph: it is damaged, or its format is not supported; export it as JPEG or PNG");
  }
  const { height, width } = bitmap;
  if (Math.min(height, width) < LEAST_SIDE) {
    throw new Error(`it has ${width} × ${height} pixels, but each side needs at least ${LEAST_SIDE}`);
  }
  const factor = Math.min(1, Math.sqrt(MOST_PIXELS / (height * width)));
  const size = [height, width].map((side) => Math.max(LEAST_SIDE, Math.round(side * factor)));
  const content = await file.arrayBuffer(), bytes = new Uint8Array(content);
  const picture = pixelsOf(bitmap, size), { camera, note } = exifCamera(content, { height, width });
  const notes = note ? [note] : [];
  const found = isJpeg(bytes) ? null : transparentOf(bitmap, size);
  bitmap.close();
  if (found) {
    picture.transparent = found.mask;
    found.mask.forEach((each, at) => { if (each) picture.values.fill(0, 4 * at, 4 * at + 3); });
    notes.push(`its transparent pixels (${Number((100 * found.share).toPrecision(3))}%) have no depth`);
  }
  const [low, high] = levelsOf(picture);
  if (high - low < LEAST_LEVELS) {
    if (isGrey16(bytes)) {
      throw new Error("its 16-bit values span less than a 16th of their range, so this page sees only "
        + `${high - low + 1} levels; use 'rilievo predict --stretch' instead`);
    }
    notes.push(`the image has little contrast (${low} to ${high} of 255, 1st to 99th percentile), so its depth is unreliable`);
  }
  if (factor < 1) {
    const millions = ((height * width) / 1e6).toFixed(1);
    notes.push(`it was reduced from ${millions} to ${((size[0] * size[1]) / 1e6).toFixed(1)} megapixels, the most that this page accepts`);
  }
  return { picture, isRound: isPanorama(picture, bytes), camera: camera && resized(camera, factor, size), notes };
}

/** @param {any} camera @param {number} factor @param {number[]} size */
const resized = (camera, factor, [height, width]) => ({ ...camera, fx: camera.fx * factor, fy: camera.fy * factor,
  cx: (width - 1) / 2, cy: (height - 1) / 2 });

export function canvasOf({ height, width, values }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(values, width, height), 0, 0);
  return canvas;
}

// A bitmap of a picture whose longer side is at most `most`.
export function bitmapOf(picture, most = Infinity) {
  const factor = Math.min(1, most / Math.max(picture.height, picture.width)), canvas = canvasOf(picture);
  if (factor === 1) return canvas.transferToImageBitmap();
  return createImageBitmap(canvas, { resizeWidth: Math.round(picture.width * factor),
    resizeHeight: Math.round(picture.height * factor), resizeQuality: "high" });
}

// Height of the soft colours below a photograph over its own, and rows between both: rilievo.io.outputs.surface_texture.
const SOFT_SHARE = 1 / 8, PADDING = 8;

/**
 * The texture of a surface as the bytes of a JPEG file: a picture whose longer side is at most `most` and, below it, the
 * soft picture, if there is one.
 * @param {any} picture
 * @param {number} most
 * @param {any} soft
 * @returns {Promise<{width: number, bytes: Uint8Array, photoShare: number, softStart: number, softShare: number}>} Also
 *   the parts of the texture's height that the photograph and the soft picture take, and where the latter begins.
 */
export async function textureOf(picture, most, soft) {
  const bitmap = await bitmapOf(picture, most), { width, height } = bitmap;
  const softHeight = soft ? Math.max(2, Math.round(SOFT_SHARE * height)) : 0, below = soft ? PADDING + softHeight : 0;
  const canvas = new OffscreenCanvas(width, height + below), context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  if (soft) {
    context.drawImage(bitmap, 0, height - 1, width, 1, 0, height, width, PADDING);
    context.drawImage(canvasOf({ ...soft, values: soft.data }), 0, height + PADDING, width, softHeight);
  }
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 }), whole = height + below;
  // Half a row at each end of the soft colours stays unused, where they would mix with others.
  return { width, bytes: new Uint8Array(await blob.arrayBuffer()), photoShare: height / whole,
    softStart: (height + PADDING + 0.5) / whole, softShare: (softHeight - 1) / whole };
}
