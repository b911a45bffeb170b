// Questions to the worker, each with its answer.

import { isDepth } from "./preparation.js";
import { settings } from "./settings.js";

// A graphics card of WebGPU; renderers in software are slower than WebAssembly.
async function hasCard() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

// WebGPU is for pages with a second, larger network, and asked for or refused in the address by
// ?gpu=1 and ?gpu=0; its runtime needs a browser that can suspend WebAssembly.
const asked = new URLSearchParams(location.search).get("gpu"), isLarge = settings.models.some(({ kind }) => kind && !isDepth(kind));
export const isGpu = "Suspending" in WebAssembly && (asked === "1" || (asked !== "0" && isLarge && await hasCard()));
const worker = new Worker(isGpu ? "worker-gpu.js" : "worker.js", { type: "module" }), waiting = new Map();
let count = 0, broken = null;

function breakDown(event) {
  event.preventDefault();
  broken = new Error(event.message || "the browser cannot run its script; load the page anew");
  for (const { reject } of waiting.values()) reject(broken);
  waiting.clear();
}

worker.addEventListener("error", breakDown);
worker.addEventListener("message", ({ data }) => {
  const { resolve, reject, tell } = waiting.get(data.id) ?? {};
  if (!resolve) return;
  if (data.told) { tell?.(data.told); return; }
  waiting.delete(data.id);
  if ("error" in data) reject(new Error(data.error));
  else resolve(data.result);
});

// The answer to an act of the worker; `tell` hears how far a download is.
export function ask(act, more = {}, tell = null, transferred = []) {
  if (broken) return Promise.reject(broken);
  return new Promise((resolve, reject) => {
    waiting.set(++count, { resolve, reject, tell });
    worker.postMessage({ id: count, act, ...more }, transferred);
  });
}
