// What the server tells of a photograph's result, as a prediction that the page shows: depth and
// normals of every so many-th pixel. rilievo.serving.app.view_file writes it.

const text = new TextDecoder();

// The result at an address. Throws an Error in the user's words.
export async function viewOf(address) {
  const response = await fetch(address).catch(() => { throw new Error("the server cannot be reached; is there a network?"); });
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `the server answered with status ${response.status}`);
  const buffer = await response.arrayBuffer(), length = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(text.decode(new Uint8Array(buffer, 4, length)));
  const { step, rows, columns, first_row: firstRow, first_column: firstColumn } = about.lattice;
  const count = rows * columns, afterDepth = 4 + length + 4 * count, afterNormals = afterDepth + (about.normals ? 3 * count : 0);
  const afterSky = afterNormals + (about.sky ? count : 0);
  const depth = new Float32Array(buffer, 4 + length, count), normals = new Int8Array(buffer, afterDepth, afterNormals - afterDepth);
  const { camera, lens, made_by: madeBy, source: { width, height } } = about;
  const whole = { ...lens, source: camera.source, degrees: camera.horizontal_fov };
  const kind = about.shown_kind, refused = lens ? about.anchoring?.refused : "the page draws those of ordinary photographs and of panoramas";
  return {
    name: about.name, kind, anchoring: about.anchoring, terms: about.terms, madeBy, outputs: about.outputs,
    notes: [...about.notes, ...(refused ? [`there is no surface: ${refused}`] : [])], seconds: null, size: { width, height }, camera: whole,
    photo: await createImageBitmap(new Blob([buffer.slice(afterSky)], { type: "image/jpeg" })),
    prediction: {
      name: about.name, height: rows, width: columns, kind, depth, valid: Uint8Array.from(depth, (z) => (Number.isFinite(z) ? 1 : 0)),
      hollow: depth.some((z) => z === Infinity) ? Uint8Array.from(depth, (z) => (z === Infinity ? 1 : 0)) : null,
      sky: about.sky ? new Uint8Array(buffer, afterNormals, count) : null,
      camera: lens && { ...whole, fx: lens.fx / step, fy: lens.fy / step, cx: (lens.cx - firstColumn) / step, cy: (lens.cy - firstRow) / step },
      normalsAt: about.normals ? (at, across) => picked(normals, columns, at, across) : null,
      // The form of a surface of these points, in pixels of the photograph.
      inWhole: (form) => ({ ...form, ...whole, width, height, step: form.step * step,
        first_row: firstRow + form.first_row * step, first_column: firstColumn + form.first_column * step }),
    },
  };
}

function picked(normals, width, rows, columns) {
  const found = new Float32Array(3 * rows.length * columns.length);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      for (let axis = 0; axis < 3; axis++) found[to++] = normals[3 * (row * width + column) + axis] / 127;
    }
  }
  return found;
}
