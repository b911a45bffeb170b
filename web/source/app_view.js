// What the server tells of a photograph's result, as a prediction that the page shows: depth and
// normals of every so many-th pixel. rilievo.serving.app.view_file writes it, packed_lattice its numbers.

import { through } from "relief";
import { responseOf } from "./response.js";

const text = new TextDecoder();

// The result at an address. Throws an Error in the user's words.
export async function viewOf(address) {
  const buffer = await (await responseOf(address)).arrayBuffer(), length = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(text.decode(new Uint8Array(buffer, 4, length)));
  const { step, rows, columns, first_row: firstRow, first_column: firstColumn } = about.lattice;
  const start = 4 + length, end = start + about.packed, lattice = await through(buffer.slice(start, end), new DecompressionStream("deflate"));
  const { depth, normals, sky } = fieldsOf(lattice, rows, columns, about);
  const { camera, lens, made_by: madeBy, source: { width, height } } = about;
  const whole = { ...lens, source: camera.source, degrees: camera.horizontal_fov };
  const kind = about.shown_kind, refused = lens ? about.anchoring?.refused : "the page draws those of ordinary photographs and of panoramas";
  return {
    name: about.name, kind, anchoring: about.anchoring, terms: about.terms, madeBy, outputs: about.outputs,
    notes: [...about.notes, ...(refused ? [`there is no surface: ${refused}`] : [])], seconds: null, size: { width, height }, camera: whole,
    photo: await createImageBitmap(new Blob([buffer.slice(end)], { type: "image/jpeg" })),
    prediction: {
      name: about.name, height: rows, width: columns, kind, depth, valid: Uint8Array.from(depth, (z) => (Number.isFinite(z) ? 1 : 0)),
      hollow: depth.some((z) => z === Infinity) ? Uint8Array.from(depth, (z) => (z === Infinity ? 1 : 0)) : null,
      sky,
      camera: lens && { ...whole, fx: lens.fx / step, fy: lens.fy / step, cx: (lens.cx - firstColumn) / step, cy: (lens.cy - firstRow) / step },
      normalsAt: normals && ((at, across) => picked(normals, columns, at, across)),
      // The form of a surface of these points, in pixels of the photograph.
      inWhole: (form) => ({ ...form, ...whole, width, height, step: form.step * step,
        first_row: firstRow + form.first_row * step, first_column: firstColumn + form.first_column * step }),
    },
  };
}

// Fields of a lattice, of second differences: depth of four planes of bytes with the sign in the
// lowest bit, normals of three planes, sky of bits.
function fieldsOf(lattice, rows, columns, about) {
  const count = rows * columns, bits = new Int32Array(count);
  for (let at = 0; at < count; at++) {
    const folded = lattice[at] | (lattice[count + at] << 8) | (lattice[2 * count + at] << 16) | (lattice[3 * count + at] << 24);
    bits[at] = (folded >>> 1) ^ -(folded & 1);
  }
  const depth = new Float32Array(summed(bits, columns).buffer), afterNormals = (about.normals ? 7 : 4) * count;
  const normals = about.normals ? summed(new Int8Array(lattice.buffer, 4 * count, 3 * count), columns) : null;
  const sky = about.sky ? new Uint8Array(count) : null;
  sky?.forEach((_, at) => { sky[at] = (lattice[afterNormals + (at >> 3)] >> (7 - (at & 7))) & 1; });
  return { depth, normals, sky };
}

// Integers of their second differences, in place and modulo their size.
function summed(values, columns) {
  for (let at = 1; at < values.length; at++) if (at % columns) values[at] += values[at - 1];
  for (let at = columns; at < values.length; at++) values[at] += values[at - columns];
  return values;
}

function picked(normals, width, rows, columns) {
  const found = new Float32Array(3 * rows.length * columns.length), count = normals.length / 3;
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      for (let axis = 0; axis < 3; axis++) found[to++] = normals[axis * count + row * width + column] / 127;
    }
  }
  return found;
}
