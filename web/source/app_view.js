// A result that the server made, as a prediction that the page shows: depth and normals of every so many-th pixel.
// rilievo.serving.app.view_file writes it, and packed_lattice beside it writes its numbers.

import { through } from "relief";
import { responseOf } from "./response.js";

const NO_LENS_NOTE = "this page only draws surfaces of ordinary photographs and panoramas";
// Number of a normal's byte that stands for 1.
const NORMAL_UNIT = 127;

const decoder = new TextDecoder();

/**
 * Fetch a result. Throws an Error in the user's words.
 *
 * The file has the length of a JSON text as four bytes, the text, the packed lattice, and the photograph as JPEG.
 * @param {string} address
 */
export async function fetchView(address) {
  const buffer = await (await responseOf(address)).arrayBuffer();
  const jsonLength = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, jsonLength)));
  const latticeStart = 4 + jsonLength;
  const latticeEnd = latticeStart + about.packed;
  const bytes = await through(buffer.slice(latticeStart, latticeEnd), new DecompressionStream("deflate"));
  const photo = await createImageBitmap(new Blob([buffer.slice(latticeEnd)], { type: "image/jpeg" }));

  const { source: { width, height }, lens } = about;
  const camera = { ...lens, source: about.camera.source, degrees: about.camera.horizontal_fov };
  const noSurface = lens ? about.anchoring?.refused : NO_LENS_NOTE;
  return {
    name: about.name,
    kind: about.shown_kind,
    anchoring: about.anchoring,
    terms: about.terms,
    madeBy: about.made_by,
    outputs: about.outputs,
    notes: noSurface ? [...about.notes, `there is no surface: ${noSurface}`] : about.notes,
    seconds: null,
    size: { width, height },
    camera,
    photo,
    prediction: predictionOf(about, camera, bytes),
  };
}

// The pixels of the lattice as a prediction of a small photograph.
function predictionOf(about, camera, bytes) {
  const { step, rows, columns, first_row: firstRow, first_column: firstColumn } = about.lattice;
  const { lens, source: { width, height } } = about;
  const { depth, normals, sky } = unpackFields(bytes, rows, columns, about);
  // Infinite depth marks transparent pixels, and NaN other pixels without depth.
  const isTransparent = (z) => z === Infinity;
  const smallLens = lens && {
    fx: lens.fx / step,
    fy: lens.fy / step,
    cx: (lens.cx - firstColumn) / step,
    cy: (lens.cy - firstRow) / step,
  };
  const latticeInPhotograph = (form) => ({
    step: form.step * step,
    first_row: firstRow + form.first_row * step,
    first_column: firstColumn + form.first_column * step,
  });
  return {
    name: about.name,
    height: rows,
    width: columns,
    kind: about.shown_kind,
    depth,
    valid: Uint8Array.from(depth, (z) => (Number.isFinite(z) ? 1 : 0)),
    transparent: depth.some(isTransparent) ? Uint8Array.from(depth, (z) => (isTransparent(z) ? 1 : 0)) : null,
    sky,
    camera: lens && { ...camera, ...smallLens },
    normalsAt: normals && ((pixelRows, pixelColumns) => sampleNormals(normals, columns, pixelRows, pixelColumns)),
    // The form of a surface of these pixels, in pixels of the photograph.
    formInPhotograph: (form) => ({
      ...form,
      ...camera,
      width,
      height,
      ...latticeInPhotograph(form),
      sky: form.sky && {
        ...form.sky,
        ...latticeInPhotograph(form.sky),
        reach: form.sky.reach * step,
        middle: [firstColumn + form.sky.middle[0] * step, firstRow + form.sky.middle[1] * step],
      },
    }),
  };
}

// Fields of a packed lattice, whose numbers are second differences: depth in four planes of bytes with the sign in the
// lowest bit, normals in three planes, and sky in bits.
function unpackFields(bytes, rows, columns, about) {
  const count = rows * columns;
  const differences = new Int32Array(count);
  for (let pixel = 0; pixel < count; pixel++) {
    const folded = bytes[pixel] | (bytes[count + pixel] << 8) | (bytes[2 * count + pixel] << 16)
      | (bytes[3 * count + pixel] << 24);
    differences[pixel] = (folded >>> 1) ^ -(folded & 1);
  }
  const depth = new Float32Array(sumDifferences(differences, columns).buffer);

  let normals = null;
  if (about.normals) normals = sumDifferences(new Int8Array(bytes.buffer, 4 * count, 3 * count), columns);
  let sky = null;
  if (about.sky) {
    const start = (about.normals ? 7 : 4) * count;
    sky = Uint8Array.from({ length: count }, (_, pixel) => (bytes[start + (pixel >> 3)] >> (7 - (pixel & 7))) & 1);
  }
  return { depth, normals, sky };
}

// Integers from their second differences, in place and modulo their size.
function sumDifferences(values, columns) {
  for (let index = 1; index < values.length; index++) {
    if (index % columns) values[index] += values[index - 1];
  }
  for (let index = columns; index < values.length; index++) values[index] += values[index - columns];
  return values;
}

// Normals at a grid of pixels, three numbers each, from three planes of bytes.
function sampleNormals(planes, width, rows, columns) {
  const result = new Float32Array(3 * rows.length * columns.length);
  const count = planes.length / 3;
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      for (let axis = 0; axis < 3; axis++) {
        result[to] = planes[axis * count + row * width + column] / NORMAL_UNIT;
        to++;
      }
    }
  }
  return result;
}
