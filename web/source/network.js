// One network, run by ONNX Runtime in WebAssembly.

import * as ort from "../node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { metadataOf } from "./onnx_file.js";
import { answer, factsOf, prepared } from "./preparation.js";

const MOST_THREADS = 4;

// The bytes of a file beside the page; `tell` hears how many of them are there.
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
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// Some hosts say that a file of this name is compressed, and browsers then hand it over unpacked.
async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

let ready = null;

// The runtime lies compressed beside the page, so that a host that compresses nothing will do.
function prepare() {
  ready ??= (async () => {
    ort.env.wasm.wasmBinary = await unpacked(await fetched("ort.wasm.gz"));
    ort.env.wasm.wasmPaths = { mjs: new URL("ort.mjs", self.location.href).href };
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
    ort.env.logLevel = "error";
  })();
  return ready;
}

const hex = (bytes) => [...new Uint8Array(bytes)].map((each) => each.toString(16).padStart(2, "0")).join("");

// A network that is ready to run. `bytes` are those of its ONNX file, `sha256` what is known of
// them. Throws an Error in the user's words.
export async function openNetwork(bytes, sha256) {
  const facts = factsOf(metadataOf(bytes));
  await prepare();
  // Only pages of a safe origin may compute it.
  const sum = sha256 ?? (crypto.subtle ? hex(await crypto.subtle.digest("SHA-256", bytes)) : "not known");
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  const [input] = session.inputMetadata;
  if (!session.inputNames.includes("image") || !session.outputNames.includes("depth")) {
    await session.release();
    throw new Error("it has no input named image, or no output named depth");
  }
  async function outputsOf({ height, width, data }) {
    const floats = input.type === "float32", numbers = floats ? Float32Array.from(data) : data;
    const image = new ort.Tensor(floats ? "float32" : "uint8", numbers, [1, height, width, 3]);
    const outputs = await session.run({ image });
    return Object.fromEntries(Object.entries(outputs).map(([name, { dims, data: values }]) => [name, { dims, data: values }]));
  }
  // The first run takes twice as long, so it is over before there is a photograph.
  const blank = { height: 480, width: 640, values: new Uint8ClampedArray(4 * 480 * 640).fill(128) };
  await outputsOf(prepared(facts, blank));
  return {
    facts, sha256: sum, threads: ort.env.wasm.numThreads,
    // What it answers for a photograph { height, width, values, camera }, at its own size.
    infer: async (photo) => answer(facts, await outputsOf(prepared(facts, photo)), photo),
    close: () => session.release(),
  };
}
