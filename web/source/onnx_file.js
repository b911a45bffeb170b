// The metadata inside an ONNX file: entries of ModelProto.metadata_props (field 14), each a key
// (field 1) and a value (field 2). Everything else in it is passed over.

const METADATA = 14;

function fields(bytes, start, end) {
  const found = [];
  let at = start;
  function number() {
    let value = 0, scale = 1;
    for (let each = 0; each < 10; each++, scale *= 128) {
      if (at >= end) break;
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new Error("it is no ONNX file, or it is cut short");
  }
  while (at < end) {
    const tag = number(), kind = tag % 8;
    let length = 0;
    if (kind === 0) number();
    else if (kind === 2) length = number();
    else if (kind === 1) length = 8;
    else if (kind === 5) length = 4;
    else throw new Error("it is no ONNX file");
    if (at + length > end) throw new Error("it is no ONNX file, or it is cut short");
    if (kind === 2) found.push({ field: Math.floor(tag / 8), start: at, end: at + length });
    at += length;
  }
  return found;
}

// A Map of texts. Throws an Error where the bytes are no ONNX file.
export function metadataOf(bytes) {
  const text = ({ start, end }) => new TextDecoder().decode(bytes.subarray(start, end)), said = new Map();
  const parts = fields(bytes, 0, bytes.length);
  if (!parts.length) throw new Error("it is no ONNX file");
  for (const entry of parts.filter((each) => each.field === METADATA)) {
    const [key, value] = fields(bytes, entry.start, entry.end);
    if (key && value) said.set(text(key), text(value));
  }
  return said;
}
