// Questions to the worker, each with its answer.

import { isDepth } from "./preparation.js";
import { settings } from "./settings.js";

/** Whether networks run on the graphics card, if it can run them. */
export const isGpu = await choosesGpu();

const worker = new Worker(isGpu ? "worker-gpu.js" : "worker.js", { type: "module" });
worker.addEventListener("error", failAll);
worker.addEventListener("message", receive);
// Questions without an answer yet, by their number.
const pending = new Map();
let questionCount = 0;
// What broke the worker; null while it runs.
let failure = null;

/**
 * Ask the worker to do something: see ACTS in worker.js. Throws an Error in the user's words.
 * @param {string} act
 * @param {object} [request]
 * @param {((progress: {count: number, whole: number}) => void) | null} [tell] Called while it downloads something, or
 *   predicts a panorama.
 * @returns {Promise<any>}
 */
export function ask(act, request = {}, tell = null) {
  if (failure) return Promise.reject(failure);
  return new Promise((resolve, reject) => {
    questionCount++;
    pending.set(questionCount, { resolve, reject, tell });
    worker.postMessage({ id: questionCount, act, ...request });
  });
}

function receive({ data: { id, result, error, progress } }) {
  const question = pending.get(id);
  if (!question) return;
  if (progress) {
    question.tell?.(progress);
    return;
  }
  pending.delete(id);
  if (error === undefined) question.resolve(result);
  else question.reject(new Error(error));
}

function failAll(event) {
  event.preventDefault();
  failure = new Error(event.message || "the browser cannot run the script of this page; reload the page");
  for (const { reject } of pending.values()) reject(failure);
  pending.clear();
}

// The graphics card is for pages with a second, larger network. ?gpu=1 and ?gpu=0 in the address choose it or not.
async function choosesGpu() {
  // Its runtime needs a browser that can suspend WebAssembly.
  if (!("Suspending" in WebAssembly)) return false;
  const choice = new URLSearchParams(location.search).get("gpu");
  if (choice === "1") return true;
  if (choice === "0") return false;
  const hasLargeNetwork = settings.models.some(({ kind }) => kind && !isDepth(kind));
  return hasLargeNetwork && await hasGraphicsCard();
}

// Renderers in software are slower than WebAssembly, so they do not count.
async function hasGraphicsCard() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return false;
  const isSoftware = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter;
  return !isSoftware;
}
