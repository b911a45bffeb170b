// A network that ONNX Runtime runs, in WebAssembly or on WebGPU.

import * as ort from "ort";
import { through } from "relief";
import { metadataOf } from "./onnx_file.js";
import { prepareInput, readAnswer, readCard } from "./preparation.js";
import { describedNetwork, publishedNetwork } from "./published.js";

/**
 * A network that is ready to run.
 * @typedef {object} Network
 * @property {any} card What is known of it: see NetworkCard. Its `isListed` says that rilievo lists the network.
 * @property {string} sha256 Checksum of its file.
 * @property {string} device "webgpu" or "cpu".
 * @property {number} threads
 * @property {(photo: any) => Promise<any>} infer Gives its answer for a photograph { height, width, values, camera },
 *   at the network's own size: see readAnswer.
 * @property {() => Promise<void>} close Frees its memory.
 */

// Threads that the runtime gets at most.
const MAX_THREADS = 4;
// Size [px] of the grey picture with which a network is warmed up.
const WARM_UP_HEIGHT = 480;
const WARM_UP_WIDTH = 640;
const WARM_UP_GREY = 128;

const EXECUTION_PROVIDERS = { cpu: ["wasm"], webgpu: ["webgpu", "wasm"] };
const TENSOR_TYPES = { Float32Array: "float32", Uint8Array: "uint8", BigInt64Array: "int64" };

/**
 * Download a file that lies beside the page. Throws an Error in the user's words.
 * @param {string} address
 * @param {(count: number, whole: number) => void} [tell] Called with the bytes that have come and the bytes of the
 *   whole file, which is 0 while it is not known.
 * @returns {Promise<Uint8Array>}
 */
export async function download(address, tell = () => {}) {
  const response = await fetch(address).catch(() => {
    throw new Error(`${address} cannot be reached; check your network connection`);
  });
  if (!response.ok) throw new Error(`${address} cannot be loaded from this host (status ${response.status})`);

  // A host that compresses states the compressed length, which is not that of the bytes that come.
  const isCompressed = response.headers.has("content-encoding");
  const whole = isCompressed ? 0 : Number(response.headers.get("content-length"));
  const reader = response.body.getReader();
  const parts = [];
  let count = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    count += value.length;
    tell(count, whole);
  }
  tell(count, count);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

let runtimeReady = null;

/**
 * Load ONNX Runtime, once. It lies compressed beside the page, because many hosts compress nothing.
 * @returns {Promise<void>}
 */
export function loadRuntime() {
  runtimeReady ??= startRuntime();
  return runtimeReady;
}

async function startRuntime() {
  ort.env.wasm.wasmBinary = await decompress(await download(`${RUNTIME}.wasm.gz`));
  ort.env.wasm.wasmPaths = { mjs: new URL(`${RUNTIME}.mjs`, self.location.href).href };
  // Only isolated pages may share memory between threads.
  const threads = Math.min(MAX_THREADS, navigator.hardwareConcurrency || 1);
  ort.env.wasm.numThreads = self.crossOriginIsolated ? threads : 1;
  ort.env.logLevel = "error";
}

// Some hosts declare such a file as compressed, and browsers then hand it over decompressed already.
async function decompress(bytes) {
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  return isGzip ? through(bytes, new DecompressionStream("gzip")) : bytes;
}

/**
 * Open a network from the bytes of its ONNX file. Throws an Error in the user's words.
 * @param {Uint8Array} bytes
 * @param {any} [listed] What the page's settings say of the network: its name, sha256 and licence, and its graph if
 *   the file itself has no metadata.
 * @returns {Promise<Network>}
 */
export async function openNetwork(bytes, listed = {}) {
  const metadata = metadataOf(bytes);
  const ownCard = metadata.has("rilievo.format") ? readCard(metadata) : null;
  await loadRuntime();

  const sha256 = listed.sha256 ?? await checksum(bytes);
  const { session, adapter, device } = await createSession({ bytes, metadata, ownCard, listed });
  const card = { ...adapter.card, isListed: !ownCard };
  if (!ownCard) {
    card.name = listed.name ?? card.name;
    card.licence = listed.licence ?? card.licence;
  }
  return {
    card,
    sha256,
    device,
    threads: ort.env.wasm.numThreads,
    infer: async (photo) => adapter.read(await runSession(session, adapter.feed(photo)), photo),
    close: () => session.release(),
  };
}

async function checksum(bytes) {
  // Browsers compute it for pages from a secure origin alone.
  if (!crypto.subtle) return "not known";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A session on the graphics card if it runs the network, else on the processor.
async function createSession(file) {
  // The build replaces RUNTIME by the name of the runtime that this worker has.
  const hasWebGpu = RUNTIME === "ort-gpu" && Boolean(await navigator.gpu?.requestAdapter());
  if (hasWebGpu) {
    try {
      return await createSessionOn("webgpu", file);
    } catch {
      // Not every network runs on it.
    }
  }
  return createSessionOn("cpu", file);
}

// The session, its device, and the adapter { card, feed(photo), read(outputs, photo) } of its inputs and outputs.
async function createSessionOn(device, file) {
  // Weights in 8 bits are multiplied out once, not at every run. Networks that compute in 8 bits would lose by it.
  const hasInt8Weights = file.metadata.get("rilievo.precision") === "int8 weights";
  const extra = hasInt8Weights ? { session: { disable_quant_qdq: "1" } } : {};
  const session = await ort.InferenceSession.create(file.bytes, {
    executionProviders: EXECUTION_PROVIDERS[device],
    logSeverityLevel: 3,
    extra,
  });
  try {
    const adapter = adapterOf(session, file);
    // Networks from elsewhere may be large, and wait for a photograph.
    if (file.ownCard) await warmUp(session, adapter);
    return { session, adapter, device };
  } catch (error) {
    await session.release();
    throw error;
  }
}

/** @returns {any} */
function adapterOf(session, { metadata, ownCard, listed }) {
  if (ownCard) return ownNetwork(ownCard, session);
  if (listed.graph) return describedNetwork(listed.graph, session);
  const published = publishedNetwork(session);
  if (published) return published;
  // Nothing describes this network, and reading its card throws the Error that says so.
  return readCard(metadata);
}

// A network whose file has rilievo's metadata, and so rilievo's names of inputs and outputs.
function ownNetwork(card, { inputNames, outputNames, inputMetadata: [input] }) {
  if (!inputNames.includes("image") || !outputNames.includes("depth")) {
    throw new Error("it has no input named image, or no output named depth; use a file that 'rilievo export' wrote");
  }
  return {
    card,
    feed(photo) {
      const { height, width, data } = prepareInput(card, photo);
      const isFloat = input.type === "float32";
      return { image: { dims: [1, height, width, 3], data: isFloat ? Float32Array.from(data) : data } };
    },
    read: (outputs, photo) => readAnswer(card, outputs, photo),
  };
}

// The first run takes twice as long, so it is over before there is a photograph.
async function warmUp(session, adapter) {
  const values = new Uint8ClampedArray(4 * WARM_UP_HEIGHT * WARM_UP_WIDTH).fill(WARM_UP_GREY);
  await runSession(session, adapter.feed({ height: WARM_UP_HEIGHT, width: WARM_UP_WIDTH, values }));
}

// Runs a session on inputs { dims, data } by name, and gives outputs of the same form.
async function runSession(session, inputs) {
  const feeds = {};
  for (const [name, { dims, data }] of Object.entries(inputs)) {
    feeds[name] = new ort.Tensor(TENSOR_TYPES[data.constructor.name], data, dims);
  }
  const tensors = await session.run(feeds);
  const outputs = {};
  for (const [name, { dims, data }] of Object.entries(tensors)) outputs[name] = { dims, data };
  return outputs;
}
