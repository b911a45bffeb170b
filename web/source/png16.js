// Depth as a 16-bit PNG, as rilievo.io.outputs.formats.png16 writes it.

import { clamp, listOf, through } from "relief";
import { about, meaningOf, stem, toBytes, unitOf } from "./facts.js";
import { isDepth } from "./preparation.js";

const LARGEST = 65535;
const MILLIMETRE = 0.001;
const SIGNATURE = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
// PNG's filter by which each row states its difference from the row above.
const FILTER_UP = 2;

/**
 * Write depth as a grey PNG of 16 bits that says inside what its numbers are; 0 is a pixel without depth.
 * @param {any} prediction
 * @returns {Promise<{name: string, blob: Blob}>}
 */
export async function png16(prediction) {
  const { height, width, kind, name } = prediction;
  const unit = unitOf(kind);
  const facts = { file: `${stem(name)}.depth16.png`, output: "png16", holds: meaningOf(prediction), unit, invalid: 0 };
  const content = about(prediction, facts);
  const { minimum = 1, maximum = 1 } = content.depth;
  const coding = codingOf(kind, minimum, maximum);
  // `content` holds the same object, so its JSON has these numbers too.
  Object.assign(facts, coding);

  const texts = {
    Software: "rilievo",
    kind,
    unit,
    scale: String(coding.scale),
    offset: String(coding.offset),
    invalid: "0",
    rilievo: JSON.stringify(content),
  };
  const textChunks = Object.entries(texts).map(([key, text]) => chunk("iTXt", toBytes(`${key}\0\0\0\0\0${text}`)));
  const pixels = await through(filteredRows(prediction, coding), new CompressionStream("deflate"));
  const parts = [
    SIGNATURE,
    chunk("IHDR", headerOf(height, width)),
    ...textChunks,
    chunk("IDAT", pixels),
    chunk("IEND", new Uint8Array(0)),
  ];
  return { name: facts.file, blob: new Blob(parts, { type: "image/png" }) };
}

// How numbers are stored: number = stored * scale + offset where stored > 0.
function codingOf(kind, low, high) {
  const fitsMillimetres = low >= MILLIMETRE && high <= LARGEST * MILLIMETRE;
  if (kind === "metric" && fitsMillimetres) return { scale: MILLIMETRE, offset: 0 };
  if (isDepth(kind) && low >= high / LARGEST) return { scale: high / LARGEST, offset: 0 };
  const scale = (high - low) / (LARGEST - 1) || Math.abs(low) || 1;
  // The offset leaves 0 free, and no depth becomes 0.
  const least = isDepth(kind) ? Math.max(low, scale * 1e-6) : low;
  return { scale, offset: least - scale };
}

// Rows of two bytes a pixel, each after the number of its filter.
function filteredRows({ depth, valid, height, width }, { scale, offset }) {
  const rows = new Uint8Array(height * (2 * width + 1));
  const above = new Uint8Array(2 * width);
  let to = 0;
  for (let row = 0; row < height; row++) {
    rows[to] = FILTER_UP;
    to++;
    for (let column = 0; column < width; column++) {
      const pixel = row * width + column;
      const hasDepth = !valid || valid[pixel];
      const stored = hasDepth ? clamp(1, Math.round((depth[pixel] - offset) / scale), LARGEST) : 0;
      const bytes = [stored >> 8, stored & 255];
      for (let index = 0; index < 2; index++) {
        rows[to] = bytes[index] - above[2 * column + index];
        above[2 * column + index] = bytes[index];
        to++;
      }
    }
  }
  return rows;
}

// Size, 16 bits, grey, and the only methods of compression, filtering and interlacing.
function headerOf(height, width) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([16, 0, 0, 0, 0], 8);
  return header;
}

function chunk(name, content) {
  const result = new Uint8Array(12 + content.length);
  const view = new DataView(result.buffer);
  view.setUint32(0, content.length);
  result.set(toBytes(name), 4);
  result.set(content, 8);
  view.setUint32(8 + content.length, crc32(result.subarray(4, 8 + content.length)));
  return result;
}

const CRC_TABLE = listOf(256, (byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  return remainder;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC_TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}
