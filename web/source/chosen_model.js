// The model that the visitor chose from the list, and the network that runs in this browser.
//
// Models whose depth is affine are sharper, but have no surface of their own. The first model of the page answers
// before them, and their depth is anchored to its answer.

import { made, part } from "viewer";
import { modelOption } from "./model_list.js";
import { isDepth } from "./preparation.js";
import { settings } from "./settings.js";
import { say, sayDownload, sayError } from "./status.js";
import { ask } from "./working.js";

// Value of the list's entry for an ONNX file of the visitor.
const OWN_FILE = "own";

const list = part("model");
let ownFile = null;
// The network that is open, or being opened: what was wanted, and the promise of what the worker says of it.
let opened = null;

const modelNamed = (name) => settings.models.find((model) => model.name === name);
const isSharper = (model) => Boolean(model?.kind && !isDepth(model.kind));

/**
 * Fill the list with the models of this browser, and choose one.
 * @param {boolean} hasServer
 */
export function fillModelList(hasServer) {
  settings.models.forEach((model, index) => {
    const isBesidePage = index === 0 && !hasServer;
    list.append(modelOption({ ...model, here: isBesidePage }, model.name, isSharper(model) ? ", sharper" : ""));
  });
  list.append(made("option", { value: OWN_FILE, textContent: "your own ONNX file …" }));
  list.value = (settings.models.find(isSharper) ?? settings.models[0]).name;
}

/** The chosen model if it answers second, after the first model of the page; null if it answers alone. */
export function sharperModel() {
  const chosen = modelNamed(list.value);
  return isSharper(chosen) ? chosen : null;
}

/** Whether the visitor wants a network of a file, but has picked none yet. */
export const lacksFile = () => list.value === OWN_FILE && !ownFile;

/** Choose the first model of the page if the visitor picked no file after all. */
export function leaveOwnFile() {
  if (!ownFile) list.value = settings.models[0].name;
}

/** Open the network that answers first for the chosen model, unless it is open. */
export const openChosen = () => open(list.value === OWN_FILE ? ownFile : null);

function open(file) {
  const chosen = sharperModel() ? null : modelNamed(list.value);
  const model = chosen ?? settings.models[0];
  const wanted = file ?? model;
  if (opened?.wanted === wanted) return opened.ready;

  const opening = { wanted, ready: ask("open", file ? { file } : { model }, sayDownload) };
  opened = opening;
  // A network that fails is not the one in use.
  opening.ready.catch(() => {
    if (opened === opening) opened = null;
  });
  return opening.ready;
}

/**
 * Open the network of an ONNX file and choose it. Errors are shown.
 * @param {File} file
 * @returns {Promise<boolean>} Whether it could be opened.
 */
export async function useNetworkFile(file) {
  say(`${file.name}: opening the model …`);
  try {
    const { name } = await open(file);
    ownFile = file;
    list.querySelector(`option[value="${OWN_FILE}"]`).textContent = `${name} (${file.name})`;
    list.value = OWN_FILE;
    say(`${name} is ready.`);
    return true;
  } catch (error) {
    list.value = settings.models[0].name;
    sayError(file.name, error);
    return false;
  }
}
