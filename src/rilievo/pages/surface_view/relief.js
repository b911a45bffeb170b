"use strict";
// The bytes of a relief as depth, points and triangles.

async function inflate(text) {
  const packed = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Depth on the lattice, 0 where there is none; in x right, y up, z backwards, as WebGL has it.
function unpack(bytes, form) {
  const count = form.rows * form.columns, depth = new Float32Array(count);
  for (let row = 0, at = 0; row < form.rows; row++) {
    for (let column = 0, code = 0; column < form.columns; column++, at++) {
      code = (code + bytes[at] * 256 + bytes[count + at]) & 65535;
      depth[at] = code ? Math.exp(form.nearest + (code - 1) * form.spacing) : 0;
    }
  }
  return { depth, faces: bytes.subarray(2 * count) };
}

// The lattice that depth and form describe.
const latticeFrom = (depth, form) => ({ rows: form.rows, columns: form.columns, firstRow: form.first_row,
  firstColumn: form.first_column, step: form.step, z: depth.map((z) => z || 1),
  valid: Uint8Array.from(depth, (z) => (z ? 1 : 0)), camera: form });

// Points and their places in the photograph; `rims` are those that were moved, and `source` the
// points from which others take their colour.
function vertices(lattice, { width, height }, unit, rims = [], source = null) {
  const position = new Float32Array(3 * lattice.z.length), uv = new Float32Array(2 * lattice.z.length);
  const { columns, firstRow, firstColumn, step, camera: { fx, fy, cx, cy } } = lattice;
  const put = (at, u, v, depth, left = u, top = v) => {
    const z = depth / unit;
    position[3 * at] = ((u - cx) / fx) * z;
    position[3 * at + 1] = -((v - cy) / fy) * z;
    position[3 * at + 2] = -z;
    // The texture's (0, 0) is the outer corner of the bottom-left pixel, ours a pixel's centre.
    uv[2 * at] = (left + 0.5) / width;
    uv[2 * at + 1] = 1 - (top + 0.5) / height;
  };
  const column = (at) => firstColumn + (at % columns) * step, row = (at) => firstRow + Math.floor(at / columns) * step;
  for (let at = 0; at < lattice.z.length; at++) {
    const from = source ? source[at] : at;
    put(at, column(at), row(at), lattice.z[at], column(from), row(from));
  }
  for (const { at, across, down, z } of rims) put(at, column(at) + across * step, row(at) + down * step, z);
  return { position, uv };
}

function triangles(faces, form) {
  const across = form.columns - 1;
  let count = 0, to = 0;
  for (const bits of faces) count += (bits & 2 ? 3 : 0) + (bits & 4 ? 3 : 0);
  const index = new Uint32Array(count);
  faces.forEach((bits, at) => {
    if (!(bits & 6)) return;
    const a = Math.floor(at / across) * form.columns + (at % across);
    const b = a + 1, c = a + form.columns, d = c + 1, falling = bits & 1;
    if (bits & 2) {
      index[to++] = a;
      index[to++] = c;
      index[to++] = falling ? d : b;
    }
    if (bits & 4) {
      index[to++] = b;
      index[to++] = falling ? a : c;
      index[to++] = d;
    }
  });
  return index;
}

// Numbers of the points that belong to a triangle, in order.
function corners(index, count) {
  const seen = new Uint8Array(count);
  for (const at of index) seen[at] = 1;
  const used = new Uint32Array(seen.reduce((sum, each) => sum + each, 0));
  let to = 0;
  seen.forEach((each, at) => { if (each) used[to++] = at; });
  return used;
}
