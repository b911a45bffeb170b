// A photograph's file, or a frame of the camera, as pixels: upright, in sRGB, over white.

import { cameraOf } from "./exif.js";

const MOST_PIXELS = 12_600_000; // 4096 x 3072 of a phone is 12.58 million
const LEAST_SIDE = 32;

function drawn(bitmap, height, width, quality) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = quality;
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// The pixels of a bitmap at a size; `quality` of making it smaller is low, medium or high.
export function pixelsOf(bitmap, [height, width], quality = "high") {
  const { data } = drawn(bitmap, height, width, quality);
  return { height, width, values: data };
}

// A picture { height, width, values } with its camera (null where unknown) and notes for the user.
// Throws an Error in the user's words.
export async function readPhotograph(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error("this browser cannot read it as a photograph: it is damaged, or of another kind than JPEG, PNG or WebP");
  }
  const { height, width } = bitmap;
  if (Math.min(height, width) < LEAST_SIDE) {
    throw new Error(`it has ${width} × ${height} pixels, and each side needs at least ${LEAST_SIDE}`);
  }
  const factor = Math.min(1, Math.sqrt(MOST_PIXELS / (height * width)));
  const size = [height, width].map((side) => Math.max(LEAST_SIDE, Math.round(side * factor)));
  const picture = pixelsOf(bitmap, size), camera = cameraOf(await file.arrayBuffer(), { height, width });
  bitmap.close();
  const notes = [];
  if (factor < 1) {
    const millions = ((height * width) / 1e6).toFixed(1);
    notes.push(`its ${millions} megapixels were brought to ${((size[0] * size[1]) / 1e6).toFixed(1)}, the most that this page takes`);
  }
  return { picture, camera: camera && resized(camera, factor, size), notes };
}

const resized = (camera, factor, [height, width]) => ({ ...camera, fx: camera.fx * factor, fy: camera.fy * factor,
  cx: (width - 1) / 2, cy: (height - 1) / 2 });

function canvasOf({ height, width, values }) {
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

// The bytes of a JPEG file of a picture whose longer side is at most `most`, and its width.
export async function jpegOf(picture, most) {
  const bitmap = await bitmapOf(picture, most), canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
  return { width: bitmap.width, bytes: new Uint8Array(await blob.arrayBuffer()) };
}
