// Questions to the worker, each with its answer.

// WebGPU is asked for in the address, ?gpu=1; its runtime needs a browser that can suspend WebAssembly.
const isGpu = new URLSearchParams(location.search).get("gpu") === "1" && "Suspending" in WebAssembly;
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
