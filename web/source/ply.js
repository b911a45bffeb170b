// Points of a surface as PLY, as rilievo.io.outputs.formats.ply writes them.

import { facesOf, pixelOf, pointOf } from "relief";
import { about, MAX_POINTS, meaningOf, OUR_AXES, surfaceFacts } from "./facts.js";
import { cloudOf, CUT, normalsOn, sampleLattice, surfaceStep } from "./surface.js";

// Six numbers of four bytes, and three bytes of colour.
const BYTES_PER_POINT = 27;
const NORMAL_OFFSET = 12;
const COLOUR_OFFSET = 24;
// Characters of the JSON in a line; readers built on RPly fail above 1,023 characters a line.
const MAX_COMMENT_PIECE = 200;

/**
 * Write points with normals and colours as a binary PLY, in the camera frame. Throws an Error if no point is left.
 * @param {any} prediction
 * @returns {{name: string, blob: Blob}}
 */
export function ply(prediction) {
  const step = surfaceStep(prediction, MAX_POINTS);
  const cloud = cloudOf(prediction, step);
  const points = [...cloud.valid.keys()].filter((point) => cloud.valid[point]);
  if (!points.length) throw new Error("the surface is empty");

  const normals = cloud.normals ?? normalsOfTriangles(prediction, step);
  const surface = { pixel_step: step, points: points.length };
  const facts = surfaceFacts(prediction, "ply", "points of the surface", OUR_AXES, surface, ".ply");
  const header = headerOf(prediction, facts, points.length);
  const rows = packPoints(cloud, points, normals, prediction.photo);
  return { name: facts.file, blob: new Blob([header, rows], { type: "application/octet-stream" }) };
}

function normalsOfTriangles(prediction, step) {
  const lattice = sampleLattice(prediction, step);
  return normalsOn(lattice, facesOf(lattice, CUT));
}

function headerOf(prediction, facts, count) {
  return [
    "ply",
    "format binary_little_endian 1.0",
    `comment unit: ${facts.unit} (${meaningOf(prediction)})`,
    `comment axes: ${OUR_AXES}`,
    ...jsonPieces(about(prediction, facts)).map((piece) => `comment rilievo: ${piece}`),
    `element vertex ${count}`,
    ...["x", "y", "z", "nx", "ny", "nz"].map((name) => `property float ${name}`),
    ...["red", "green", "blue"].map((name) => `property uchar ${name}`),
    "end_header",
    "",
  ].join("\n");
}

// A JSON in ASCII, cut into pieces that neither begin nor end with a space, which readers strip.
function jsonPieces(value) {
  const escaped = (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
  let text = JSON.stringify(value).replace(/[^ -~]/g, escaped);
  const pieces = [];
  while (text.length > MAX_COMMENT_PIECE) {
    let end = MAX_COMMENT_PIECE;
    while (end > 1 && text.slice(end - 1, end + 1).includes(" ")) end--;
    pieces.push(text.slice(0, end));
    text = text.slice(end);
  }
  return [...pieces, text];
}

function packPoints(cloud, points, normals, photo) {
  const rows = new DataView(new ArrayBuffer(BYTES_PER_POINT * points.length));
  points.forEach((point, index) => {
    const start = BYTES_PER_POINT * index;
    const [u, v] = pixelOf(cloud, point);
    const position = pointOf(cloud, point);
    for (let axis = 0; axis < 3; axis++) {
      rows.setFloat32(start + 4 * axis, position[axis], true);
      rows.setFloat32(start + NORMAL_OFFSET + 4 * axis, normals[3 * point + axis], true);
      rows.setUint8(start + COLOUR_OFFSET + axis, photo.values[4 * (v * photo.width + u) + axis]);
    }
  });
  return rows;
}
