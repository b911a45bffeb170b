// Depth as a 16-bit PNG, as rilievo.io.outputs.formats.png16 writes it.

import { clamp, listOf, through } from "relief";
import { about, bytes, meaningOf, stem, unitOf } from "./facts.js";
import { isDepth } from "./preparation.js";

const LARGEST = 65535, MILLIMETRE = 0.001;

const CHECKSUMS = listOf(256, (each) => {
  for (let bit = 0; bit < 8; bit++) each = each & 1 ? (each >>> 1) ^ 0xedb88320 : each >>> 1;
  return each;
});

function chunk(name, content) {
  const result = new Uint8Array(12 + content.length), view = new DataView(result.buffer);
  view.setUint32(0, content.length);
  result.set(bytes(name), 4);
  result.set(content, 8);
  let sum = 0xffffffff;
  for (let at = 4; at < 8 + content.length; at++) sum = CHECKSUMS[(sum ^ result[at]) & 255] ^ (sum >>> 8);
  view.setUint32(8 + content.length, ~sum >>> 0);
  return result;
}

// Number = stored * scale + offset where stored > 0.
function codingOf(kind, low, high) {
  if (kind === "metric" && low >= MILLIMETRE && high <= LARGEST * MILLIMETRE) return { scale: MILLIMETRE, offset: 0 };
  if (isDepth(kind) && low >= high / LARGEST) return { scale: high / LARGEST, offset: 0 };
  const scale = (high - low) / (LARGEST - 1) || Math.abs(low) || 1;
  return { scale, offset: (isDepth(kind) ? Math.max(low, scale * 1e-6) : low) - scale };
}

// Depth as a grey PNG of 16 bits that says inside what its numbers are.
export async function png16(prediction) {
  const { depth, valid, height, width, kind, name } = prediction;
  const facts = { file: `${stem(name)}.depth16.png`, output: "png16", holds: meaningOf(prediction), unit: unitOf(kind), invalid: 0 };
  const told = about(prediction, facts), { minimum = 1, maximum = 1 } = told.depth;
  const { scale, offset } = codingOf(kind, minimum, maximum);
  Object.assign(facts, { scale, offset });
  // Every row is told by its difference to the one above.
  const lines = new Uint8Array(height * (2 * width + 1)), above = new Uint8Array(2 * width);
  for (let row = 0, to = 0; row < height; row++) {
    lines[to++] = 2;
    for (let column = 0; column < width; column++) {
      const at = row * width + column, steps = Math.round((depth[at] - offset) / scale);
      const stored = valid && !valid[at] ? 0 : clamp(1, steps, LARGEST);
      for (const [each, part] of [[2 * column, stored >> 8], [2 * column + 1, stored & 255]]) {
        lines[to++] = part - above[each];
        above[each] = part;
      }
    }
  }
  const header = new Uint8Array(13), view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([16, 0, 0, 0, 0], 8);
  const said = { Software: "rilievo", kind, unit: unitOf(kind), scale: String(scale), offset: String(offset),
    invalid: "0", rilievo: JSON.stringify(told) };
  const texts = Object.entries(said).map(([key, text]) => chunk("iTXt", bytes(`${key}\0\0\0\0\0${text}`)));
  const parts = [new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", header), ...texts,
    chunk("IDAT", await through(lines, new CompressionStream("deflate"))), chunk("IEND", new Uint8Array(0))];
  return { name: facts.file, blob: new Blob(parts, { type: "image/png" }) };
}
