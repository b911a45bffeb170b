// Points of a surface as PLY, as rilievo.io.outputs.formats.ply writes them.

import { about, meaningOf, MOST_POINTS, OUR_AXES, surfaceFacts } from "./facts.js";
import { facesOf, pixelOf, pointOf } from "relief";
import { cloudOf, CUT, sampleLattice, normalsOn, surfaceStep } from "./surface.js";

// Points with normals and colours as a binary PLY, in the camera frame.
export function ply(prediction) {
  const step = surfaceStep(prediction, MOST_POINTS), lattice = cloudOf(prediction, step), used = [...lattice.valid.keys()].filter((at) => lattice.valid[at]);
  if (!used.length) throw new Error("nothing is left of the surface");
  const facts = surfaceFacts(prediction, "ply", "points of the surface", OUR_AXES,
    { pixel_step: step, points: used.length }, ".ply");
  const normals = lattice.normals ?? normalsOn(lattice, facesOf(sampleLattice(prediction, step), CUT)), { width, values } = prediction.photo;
  const columns = ["x", "y", "z", "nx", "ny", "nz"].map((each) => `property float ${each}`);
  const header = ["ply", "format binary_little_endian 1.0",
    `comment unit: ${facts.unit} (${meaningOf(prediction)})`, `comment axes: ${OUR_AXES}`,
    `comment rilievo: ${JSON.stringify(about(prediction, facts))}`, `element vertex ${used.length}`, ...columns,
    ...["red", "green", "blue"].map((each) => `property uchar ${each}`), "end_header", ""].join("\n");
  const rows = new DataView(new ArrayBuffer(27 * used.length));
  used.forEach((at, each) => {
    const [u, v] = pixelOf(lattice, at), from = 4 * (v * width + u);
    pointOf(lattice, at).forEach((number, axis) => rows.setFloat32(27 * each + 4 * axis, number, true));
    for (let axis = 0; axis < 3; axis++) {
      rows.setFloat32(27 * each + 12 + 4 * axis, normals[3 * at + axis], true);
      rows.setUint8(27 * each + 24 + axis, values[from + axis]);
    }
  });
  return { name: facts.file, blob: new Blob([header, rows], { type: "application/octet-stream" }) };
}
