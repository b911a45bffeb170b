// The metadata inside an ONNX file: the entries of ModelProto.metadata_props (field 14), each with a key (field 1) and
// a value (field 2). Everything else in the file is passed over.

const METADATA_FIELD = 14;
// Wire types of protocol buffers.
const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH_DELIMITED = 2;
const FOUR_BYTES = 5;
// A number has at most ten bytes, of seven bits each.
const MAX_VARINT_BYTES = 10;

/**
 * Read the metadata of an ONNX file. Throws an Error in the user's words if the bytes are none.
 * @param {Uint8Array} bytes
 * @returns {Map<string, string>}
 */
export function metadataOf(bytes) {
  const fields = readFields(bytes, 0, bytes.length);
  if (!fields.length) throw new Error("it is not an ONNX file");
  const decode = ({ start, end }) => new TextDecoder().decode(bytes.subarray(start, end));
  const metadata = new Map();
  for (const entry of fields.filter(({ number }) => number === METADATA_FIELD)) {
    const [key, value] = readFields(bytes, entry.start, entry.end);
    if (key && value) metadata.set(decode(key), decode(value));
  }
  return metadata;
}

// The fields of a message that have bytes: their numbers, and where the bytes are.
function readFields(bytes, messageStart, messageEnd) {
  const fields = [];
  let position = messageStart;
  while (position < messageEnd) {
    const tag = readVarint(bytes, position, messageEnd);
    position = tag.end;
    const type = tag.value % 8;
    let length = 0;
    if (type === VARINT) {
      position = readVarint(bytes, position, messageEnd).end;
    } else if (type === LENGTH_DELIMITED) {
      const stated = readVarint(bytes, position, messageEnd);
      length = stated.value;
      position = stated.end;
    } else if (type === EIGHT_BYTES) {
      length = 8;
    } else if (type === FOUR_BYTES) {
      length = 4;
    } else {
      throw new Error("it is not an ONNX file");
    }
    const end = position + length;
    if (end > messageEnd) throw new Error("it is not an ONNX file, or it is incomplete");
    if (type === LENGTH_DELIMITED) fields.push({ number: Math.floor(tag.value / 8), start: position, end });
    position = end;
  }
  return fields;
}

function readVarint(bytes, start, messageEnd) {
  let value = 0;
  let scale = 1;
  const end = Math.min(start + MAX_VARINT_BYTES, messageEnd);
  for (let position = start; position < end; position++) {
    const byte = bytes[position];
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) return { value, end: position + 1 };
  }
  throw new Error("it is not an ONNX file, or it is incomplete");
}
