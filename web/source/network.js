// One network, run by ONNX Runtime in WebAssembly.

import * as ort from "ort";
import { through } from "relief";
import { metadataOf } from "./onnx_file.js";
import { answer, factsOf, prepared } from "./preparation.js";
import { describedBy, publishedAs } from "./published.js";

const MOST_THREADS = 4;

// The bytes of a file beside the page; `tell` hears how many of them are there.
/** @param {string} address @param {(count: number, whole: number) => void} [tell] */
export async function fetched(address, tell = () => {}) {
  const response = await fetch(address).catch(() => { throw new Error(`${address} cannot be reached; is there a network?`); });
  if (!response.ok) throw new Error(`${address} is not on this host (status ${response.status})`);
  // A host that compresses tells the compressed length.
  const packed = response.headers.has("content-encoding");
  const whole = packed ? 0 : Number(response.headers.get("content-length")), parts = [];
  let count = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    count += value.length;
    tell(count, whole);
  }
  tell(count, count);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// Some hosts say that a file of this name is compressed, and browsers then hand it over unpacked.
async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  return through(bytes, new DecompressionStream("gzip"));
}

let ready = null;

// The runtime lies compressed beside the page, so that a host that compresses nothing will do.
export function prepare() {
  ready ??= (async () => {
    ort.env.wasm.wasmBinary = await unpacked(await fetched(`${RUNTIME}.wasm.gz`));
    ort.env.wasm.wasmPaths = { mjs: new URL(`${RUNTIME}.mjs`, self.location.href).href };
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
    ort.env.logLevel = "error";
  })();
  return ready;
}

const hex = (bytes) => [...new Uint8Array(bytes)].map((each) => each.toString(16).padStart(2, "0")).join("");

// How a network of ours is fed and read, from what its file says of it.
function ownAs(facts, { inputNames, outputNames, inputMetadata: [input] }) {
  if (!inputNames.includes("image") || !outputNames.includes("depth")) {
    throw new Error("it has no input named image, or no output named depth");
  }
  return {
    facts,
    feed(photo) {
      const { height, width, data } = prepared(facts, photo), isFloat = input.type === "float32";
      return { image: { dims: [1, height, width, 3], data: isFloat ? Float32Array.from(data) : data } };
    },
    read: (outputs, photo) => answer(facts, outputs, photo),
  };
}

const TYPES = { Float32Array: "float32", Uint8Array: "uint8", BigInt64Array: "int64" };

// A network that is ready to run. `bytes` are those of its ONNX file, `known` what the page says of
// it: its name, sha256 and licence, and its graph where the file says nothing of itself. Throws an
// Error in the user's words.
export async function openNetwork(bytes, known = {}) {
  const metadata = metadataOf(bytes), facts = metadata.has("rilievo.format") ? factsOf(metadata) : null;
  await prepare();
  // Only pages of a safe origin may compute it.
  const sum = known.sha256 ?? (crypto.subtle ? hex(await crypto.subtle.digest("SHA-256", bytes)) : "not known");
  // RUNTIME is a word that the build puts there.
  const start = (device) => started(bytes, known, metadata, facts, device);
  const isGpu = RUNTIME === "ort-gpu" && Boolean(await navigator.gpu?.requestAdapter());
  const { network, outputsOf, session, device } = isGpu
    ? await start("webgpu").catch(() => start("cpu")) : await start("cpu");
  const named = facts ? {} : { name: known.name ?? network.facts.name, licence: known.licence ?? network.facts.licence };
  return {
    facts: { ...network.facts, ...named, isKnown: !facts }, sha256: sum, device, threads: ort.env.wasm.numThreads,
    // What it answers for a photograph { height, width, values, camera }, at its own size.
    infer: async (photo) => network.read(await outputsOf(photo), photo),
    close: () => session.release(),
  };
}

const PROVIDERS = { cpu: ["wasm"], webgpu: ["webgpu", "wasm"] };

// A session on a device, how the network is fed and read, and what it answers.
async function started(bytes, known, metadata, facts, device) {
  // Weights in 8 bits are multiplied out once, not at every run; networks that compute in 8 bits would lose by it.
  const extra = metadata.get("rilievo.precision") === "int8 weights" ? { session: { disable_quant_qdq: "1" } } : {};
  const session = await ort.InferenceSession.create(bytes, { executionProviders: PROVIDERS[device], logSeverityLevel: 3, extra });
  try {
    const network = facts ? ownAs(facts, session)
      : known.graph ? describedBy(known.graph, session) : publishedAs(session) ?? factsOf(metadata);
    const outputsOf = async (photo) => {
      const feeds = Object.entries(network.feed(photo)).map(([name, { dims, data }]) =>
        [name, new ort.Tensor(TYPES[data.constructor.name], data, dims)]);
      const outputs = await session.run(Object.fromEntries(feeds));
      return Object.fromEntries(Object.entries(outputs).map(([name, { dims, data }]) => [name, { dims, data }]));
    };
    // The first run takes twice as long, so it is over before there is a photograph; large ones wait.
    if (facts) await outputsOf({ height: 480, width: 640, values: new Uint8ClampedArray(4 * 480 * 640).fill(128) });
    return { network, outputsOf, session, device };
  } catch (error) {
    await session.release();
    throw error;
  }
}
