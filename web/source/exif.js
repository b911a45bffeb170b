// The camera that a photograph's file tells of itself, as rilievo.io.photographs.exif reads it: from the EXIF
// block of a JPEG, PNG or WebP. What is odd, broken or missing counts as not said.

import { contradiction, fisheyeName } from "./exif_doubts.js";

const FULL_FRAME_DIAGONAL = Math.hypot(36, 24); // millimetres
const ASSUMED_FOV = 55, LEAST_FOV = 1, GREATEST_FOV = 170; // degrees, along the longer side
const SAME_ASPECT = 0.02, SAME_SIDE = 2, LEAST_ZOOM = 1.01; // sides in pixels
const USUAL_ASPECTS = [1, 5 / 4, 4 / 3, 3 / 2, 16 / 9];
const MILLIMETRES = { 2: 25.4, 3: 10, 4: 1, 5: 0.001 };
const SIZES = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8 }; // bytes of a number, by its type
const READERS = { 3: "Uint16", 4: "Uint32", 5: "Uint32", 9: "Int32", 10: "Int32" };
const BLOCK = 0x8769, LONGEST_TEXT = 200;
// Property of Adobe's camera raw settings in XMP, and darktable's history, which stand in the first mebibyte of a file.
const CROPPED = /HasCrop\s*(?:=\s*["']|>)\s*[Tt]rue|darktable:operation="(?:crop|clipping)"\s+darktable:enabled="1"/, UNCROPPED = /HasCrop\s*(?:=\s*["']|>)\s*[Ff]alse/;
const MOST_XMP = 1 << 20;

// Where the TIFF block of a file begins; -1 without one.
function blockOf(view) {
  const text = (at, length) => at + length <= view.byteLength
    ? String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length)) : "";
  if (view.byteLength > 4 && view.getUint16(0) === 0xffd8) {
    for (let at = 2; at + 10 < view.byteLength && view.getUint8(at) === 0xff;) {
      const marker = view.getUint8(at + 1);
      if (marker === 0xda) break;
      if (marker === 0xe1 && text(at + 4, 6) === "Exif\0\0") return at + 10;
      at += 2 + view.getUint16(at + 2);
    }
  } else if (text(1, 3) === "PNG") {
    for (let at = 8; at + 8 < view.byteLength; at += 12 + view.getUint32(at)) {
      if (text(at + 4, 4) === "eXIf") return at + 8;
    }
  } else if (text(0, 4) === "RIFF" && text(8, 4) === "WEBP") {
    for (let at = 12; at + 8 < view.byteLength;) {
      const length = view.getUint32(at + 4, true);
      if (text(at, 4) === "EXIF") return at + 8 + (text(at + 8, 6) === "Exif\0\0" ? 6 : 0);
      at += 8 + length + (length % 2);
    }
  }
  return -1;
}

// First number, or the text, of every tag of the two directories that matter.
function tagsOf(view) {
  const tags = new Map(), base = blockOf(view);
  if (base < 0) return tags;
  const order = view.getUint16(base);
  if (order !== 0x4949 && order !== 0x4d4d) return tags;
  const little = order === 0x4949;
  function number(type, at) {
    const part = (place) => view[`get${READERS[type] ?? "Uint8"}`](place, little);
    return type % 5 ? part(at) : part(at) / part(at + 4); // a ratio is of two numbers
  }
  function text(place, bytes) {
    const characters = new Uint8Array(view.buffer, view.byteOffset + place, Math.min(bytes, LONGEST_TEXT, view.byteLength - place));
    return String.fromCharCode(...characters).split("\0")[0].trim();
  }
  function read(start) {
    const count = view.getUint16(base + start, little);
    for (let each = 0; each < count; each++) {
      const at = base + start + 2 + 12 * each, type = view.getUint16(at + 2, little);
      const bytes = (SIZES[type] ?? 0) * view.getUint32(at + 4, little);
      if (!bytes) continue;
      const place = bytes <= 4 ? at + 8 : base + view.getUint32(at + 8, little);
      if (place + SIZES[type] > view.byteLength) continue;
      tags.set(view.getUint16(at, little), type === 2 ? text(place, bytes) : number(type, place));
    }
  }
  read(view.getUint32(base + 4, little));
  if (tags.has(BLOCK)) read(tags.get(BLOCK));
  return tags;
}

const centred = (focal, { height, width }, source) =>
  ({ fx: focal, fy: focal, cx: (width - 1) / 2, cy: (height - 1) / 2, source });

// The camera { fx, fy, cx, cy, source } of a photograph of `size` { height, width }, null where the
// file says nothing, or nothing that can be true; and a note where the photograph may be a crop of
// the one in EXIF, or its lens a fisheye. Thumbnails are compared by rilievo.io.photographs.exif_crops alone.
export function exifCamera(bytes, size) {
  let tags;
  try {
    tags = tagsOf(new DataView(bytes));
  } catch (error) {
    if (error instanceof RangeError) return { camera: null, note: null }; // points outside of the file
    throw error;
  }
  const xmp = new TextDecoder("latin1").decode(bytes.slice(0, MOST_XMP));
  const found = cameraOfWhole(tags, size, xmp), bending = fisheyeName(tags, xmp);
  if (!bending || (!found.camera && found.note)) return found;
  return { camera: found.camera, note: `its EXIF names a lens or camera, '${bending}', that may be a fisheye, but `
    + "rilievo treats the image as undistorted, so sizes away from the centre may be far off" };
}

// The camera of EXIF, if the picture shows the whole of what its tags are of.
function cameraOfWhole(tags, size, xmp) {
  const whole = focalCamera(tags, size, false);
  if (!whole) return { camera: null, note: null };
  const camera = focalCamera(tags, size, true), stated = [tags.get(0xa002), tags.get(0xa003)];
  const unused = (why) => ({ camera: null, note: `its EXIF focal length is not used: ${why}; enter the field of view` });
  if (CROPPED.test(xmp)) return unused("XMP says that it was cropped");
  const doubtful = (why) => ({ camera, note: `its focal length comes from EXIF: ${why}; if it was cropped, enter the field of view` });
  const sides = `${size.width}x${size.height}`, isSized = stated.every((side) => side > 0 && side < Infinity);
  const contradicts = camera && contradiction(tags, focalsOf(tags, size, true), statedFocals(tags),
    isSized ? stated : [size.height, size.width], UNCROPPED.test(xmp));
  if (contradicts) return unused(contradicts);
  if (!isSized) {
    const aspect = Math.max(size.height, size.width) / Math.min(size.height, size.width);
    if (USUAL_ASPECTS.some((usual) => Math.abs(aspect / usual - 1) <= SAME_ASPECT)) {
      return doubtful("EXIF gives no image size, so rilievo takes the image as uncropped");
    }
    return unused(`EXIF gives no image size, and ${sides} has the proportions of a crop`);
  }
  const sizes = `EXIF gives ${stated[0]}x${stated[1]} pixels, and the image has ${sides}`;
  if (!camera) return unused(`${sizes}, with other proportions, so it was cropped`);
  const sorted = (first, second) => [Math.min(first, second), Math.max(first, second)];
  const [low, high] = sorted(...stated), [shorter, longer] = sorted(size.height, size.width);
  if (Math.abs(low - shorter) <= SAME_SIDE && Math.abs(high - longer) <= SAME_SIDE) return { camera, note: null };
  const swaps = tags.get(0x0112) >= 5 && tags.get(0x0112) <= 8;
  const [width, height] = swaps ? [size.height, size.width] : [size.width, size.height];
  if ((stated[1] - stated[0]) * (height - width) < 0) return unused(`${sizes}, in another orientation`);
  return doubtful(`${sizes}, so rilievo takes it for a resized copy`);
}

const positiveOf = (tags) => (tag) => (tags.get(tag) > 0 && tags.get(tag) < Infinity ? tags.get(tag) : null);

// The focal lengths that the tags state [mm], and the pixels of the sensor in a millimetre.
function statedFocals(tags) {
  const positive = positiveOf(tags), across = positive(0xa20e), down = positive(0xa20f);
  const unit = MILLIMETRES[tags.get(0xa210) ?? 2];
  return { film: positive(0xa405), focal: positive(0x920a),
    pixelsPerMm: unit && across && down && across / down > 0.9 && across / down < 1.1 ? Math.sqrt(across * down) / unit : null };
}

// The plausible focal lengths [px] by what states them, of the size that they state if `isSized`; none if
// the aspect ratio has changed.
function focalsOf(tags, size, isSized) {
  const positive = positiveOf(tags);
  const longer = Math.max(size.height, size.width), shorter = Math.min(size.height, size.width);
  const original = isSized ? [positive(0xa002), positive(0xa003)].filter(Boolean) : [];
  const whole = original.length === 2 ? Math.max(...original) : null;
  if (whole && Math.abs((longer * Math.min(...original)) / (shorter * whole) - 1) > SAME_ASPECT) return {};
  const { film, focal, pixelsPerMm } = statedFocals(tags);
  const stated = { exif_35mm: null, exif_sensor: null };
  if (film) stated.exif_35mm = (film * Math.hypot(size.height, size.width)) / FULL_FRAME_DIAGONAL;
  // Whether the sensor's pixels are those before or after digital zoom is not stated.
  const isZoomed = positive(0xa404) > LEAST_ZOOM;
  if (!isZoomed && focal && pixelsPerMm) stated.exif_sensor = focal * pixelsPerMm * (whole ? longer / whole : 1);
  const isPlausible = (pixels) => {
    const fov = (360 / Math.PI) * Math.atan2(longer / 2, pixels);
    return fov >= LEAST_FOV && fov <= GREATEST_FOV;
  };
  return Object.fromEntries(Object.entries(stated).filter(([, pixels]) => pixels && isPlausible(pixels)));
}

// The camera by the tags; the focal length for 35 mm film goes before that by the pixels of the sensor.
function focalCamera(tags, size, isSized) {
  const [found] = Object.entries(focalsOf(tags, size, isSized));
  return found ? centred(found[1], size, found[0]) : null;
}

// The camera of a horizontal field of view [degrees].
export const cameraFrom = (degrees, size, source) =>
  centred(size.width / 2 / Math.tan((degrees * Math.PI) / 360), size, source);

// The camera of a photograph that says nothing of it.
export function assumedCamera(size) {
  const longer = Math.max(size.height, size.width);
  return centred(longer / 2 / Math.tan((ASSUMED_FOV * Math.PI) / 360), size, "assumed");
}
