"use strict";
// The bytes of a relief as depth, points and triangles.

// Bytes as they come out of a stream that packs or unpacks them.
const through = async (bytes, stream) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
const inflate = (text) => through(Uint8Array.from(atob(text), (each) => each.charCodeAt(0)), new DecompressionStream("deflate"));

// Depth on the lattice, 0 where there is none; the bytes of its cells; and the flags of the sky's backdrop, null without one.
function unpack(bytes, form) {
  const count = form.rows * form.columns, depth = new Float32Array(count);
  for (let row = 0, at = 0; row < form.rows; row++) {
    for (let column = 0, code = 0; column < form.columns; column++, at++) {
      code = (code + bytes[at] * 256 + bytes[count + at]) & 65535;
      depth[at] = code ? Math.exp(form.nearest + (code - 1) * form.spacing) : 0;
    }
  }
  const end = 2 * count + (form.rows - 1) * (form.columns - 1);
  return { depth, faces: bytes.subarray(2 * count, end), sky: form.sky ? bytes.subarray(end) : null };
}

// Who looks at a panorama stands inside of it.
const isInside = ({ lens }) => lens === "equirectangular";

// Rays of pixels and pixels of points by the lens of a form: a pinhole, or a panorama's pixels per radian. Depth times
// ray is the point, x right, y down, z forward.
const LENSES = new WeakMap();
function lensOf(form) {
  if (!LENSES.has(form)) LENSES.set(form, madeLens(form));
  return LENSES.get(form);
}

function madeLens(form) {
  const { fx, fy, cx, cy } = form;
  if (!isInside(form)) {
    return { ray: ([u, v]) => [(u - cx) / fx, (v - cy) / fy, 1], depth: (p) => p[2],
      pixel: ([x, y, z]) => [(fx * x) / z + cx, (fy * y) / z + cy] };
  }
  const ray = ([u, v]) => {
    const across = (u - cx) / fx, down = (v - cy) / fy, level = Math.cos(down);
    return [Math.sin(across) * level, Math.sin(down), Math.cos(across) * level];
  };
  return { ray, depth: (p) => Math.hypot(...p),
    pixel: ([x, y, z]) => [fx * Math.atan2(x, z) + cx, fy * Math.atan2(y, Math.hypot(x, z)) + cy] };
}

// Whether the edge of a picture lies at a pole of its panorama.
const isPole = (form, edge) => isInside(form) && Math.abs(Math.abs(edge - form.cy) / form.fy - Math.PI / 2) < 1e-3;

// The lattice that depth and form describe.
const latticeFrom = (depth, form) => ({ rows: form.rows, columns: form.columns, firstRow: form.first_row,
  firstColumn: form.first_column, step: form.step, z: depth.map((z) => z || 1),
  valid: Uint8Array.from(depth, (z) => (z ? 1 : 0)), camera: form });

// Points and their places in the photograph, in x right, y up, z backwards, as WebGL has it; `rims` are those that were moved.
function vertices(lattice, { width, height }, unit, rims = []) {
  const count = lattice.z.length, position = new Float32Array(3 * count), uv = new Float32Array(2 * count);
  const { rows, columns, firstRow, firstColumn, step, camera } = lattice, { ray } = lensOf(camera);
  const put = (at, u, v, depth) => {
    const far = depth / unit, [x, y, z] = ray([u, v]);
    position.set([x * far, -y * far, -z * far], 3 * at);
    // The texture's (0, 0) is the outer corner of the bottom-left pixel, ours a pixel's centre.
    uv[2 * at] = (u + 0.5) / width;
    uv[2 * at + 1] = 1 - (v + 0.5) / height;
  };
  const column = (at) => firstColumn + (at % columns) * step, row = (at) => {
    const number = Math.floor(at / columns), edge = number ? height - 0.5 : -0.5;
    // A panorama's first and last rows are drawn together to its poles.
    return number % (rows - 1) === 0 && isPole(camera, edge) ? edge : firstRow + number * step;
  };
  for (let at = 0; at < count; at++) put(at, column(at), row(at), lattice.z[at]);
  for (const { at, across, down, z } of rims) put(at, column(at) + across * step, row(at) + down * step, z);
  return { position, uv };
}

// The points a b / c d of four neighbours, by the number of their cell.
function cornersOf(cell, columns) {
  const a = cell + Math.floor(cell / (columns - 1)), c = a + columns;
  return [a, a + 1, c, c + 1];
}

function triangles(faces, form) {
  let count = 0, to = 0;
  for (const bits of faces) count += (bits & 2 ? 3 : 0) + (bits & 4 ? 3 : 0);
  const index = new Uint32Array(count);
  faces.forEach((bits, cell) => {
    if (!(bits & 6)) return;
    const [a, b, c, d] = cornersOf(cell, form.columns), falling = bits & 1;
    for (const at of bits & 2 ? [a, c, falling ? d : b] : []) index[to++] = at;
    for (const at of bits & 4 ? [b, falling ? a : c, d] : []) index[to++] = at;
  });
  return index;
}

// Numbers of the points that belong to a triangle, in order.
function corners(index, count) {
  const seen = new Uint8Array(count);
  for (const at of index) seen[at] = 1;
  return Uint32Array.from(seen.keys()).filter((at) => seen[at]);
}
