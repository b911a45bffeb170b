// The page: photographs come in by file, drop, paste or camera, and results are shown.

import { BACKING, intoAddress, listOf, part, saved } from "viewer";
import { serverHost } from "./app_server.js";
import { fillModelList, lacksFile, leaveOwnFile, openChosen, useNetworkFile } from "./chosen_model.js";
import { startCamera } from "./live.js";
import { searchModels } from "./model_list.js";
import { pageHost } from "./page_host.js";
import { currentMetres } from "./result.js";
import { exampleNamed, isEmbedded, settings } from "./settings.js";
import { hasPhotograph, predict, predictAgain, show, showFirstAnswer, useHost } from "./showing.js";
import { say, sayError } from "./status.js";
import { ask, isGpu } from "./working.js";

// Colours of the ramp in the style of the page.
const RAMP_COLOURS = 17;

const hasServer = Boolean(settings.app);
const host = hasServer ? serverHost({ say, show, predict }) : pageHost({ say, predict, hasPhotograph });
let stopCamera = () => {};

start();

async function start() {
  useHost(host);
  document.body.classList.toggle("embedded", isEmbedded);
  document.documentElement.style.setProperty("--ramp", `linear-gradient(to right, ${rampColours().join()})`);
  fillModelList(hasServer);
  host.addModels?.();
  searchModels();
  listenToControls();
  listenToFiles();
  stopCamera = startCamera({ open: openChosen, say, take: (file) => takeFiles([file]) });
  showFirstAnswer();
  try {
    await ask("begin", { colours: settings.colours, version: settings.version });
    const controls = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll(".top :disabled"));
    for (const control of controls) control.disabled = false;
    await host.begin();
  } catch (error) {
    sayError("This page", error);
  }
  if (!hasServer) keepForOfflineUse();
}

function rampColours() {
  return listOf(RAMP_COLOURS, (index) => {
    const entry = 3 * Math.round((index * 255) / (RAMP_COLOURS - 1));
    return `rgb(${settings.colours.subarray(entry, entry + 3).join()})`;
  });
}

// Keeps what a visit without an internet connection needs. Private windows and plain http do not allow it.
async function keepForOfflineUse() {
  try {
    await navigator.serviceWorker.register(`sw.js?runtime=${isGpu ? "gpu" : "cpu"}`);
    await navigator.serviceWorker.ready;
    document.documentElement.dataset.offline = "";
  } catch {
    delete document.documentElement.dataset.offline;
  }
}

function listenToControls() {
  part("model").addEventListener("change", changeModel);
  part("model-file").addEventListener("cancel", leaveOwnFile);
  part("lens")?.addEventListener("change", predictAgain);
  const fov = part("fov");
  fov.addEventListener("change", () => {
    if (fov.validity.valid) predictAgain();
    else say("The field of view must be a number of degrees from 1 to 170.", true);
  });

  const outputs = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("button[data-output]"));
  for (const button of outputs) button.addEventListener("click", () => saveFile(button.dataset.output));
  for (const button of part("examples").querySelectorAll("button")) {
    button.addEventListener("click", () => {
      button.closest("details").open = false;
      stopCamera();
      host.example(exampleNamed(button.dataset.example));
    });
  }
}

// Another model predicts the photograph that is shown; without one, its network is opened.
function changeModel() {
  if (lacksFile()) {
    part("model-file").click();
  } else if (hasPhotograph()) {
    predictAgain();
  } else if (host.hasModel()) {
    say("Choose a photograph.");
  } else {
    openChosen().then(() => say("The model is ready."), (error) => sayError(part("model").value, error));
  }
}

async function saveFile(output) {
  say("Writing the file …");
  const backing = part("backing")?.checked ? BACKING : 0;
  try {
    const { name, blob } = await ask("save", { output, metres: currentMetres(), backing });
    saved(blob, name);
    say(`${name}: ${(blob.size / 1e6).toFixed(1)} MB`);
  } catch (error) {
    sayError("The file cannot be written", error);
  }
}

function listenToFiles() {
  for (const id of ["photo-file", "model-file"]) {
    part(id).addEventListener("change", ({ target }) => {
      takeFiles([...target.files]);
      target.value = ""; // so that choosing the same file again is a change too
    });
  }

  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files.length) takeFiles([...event.dataTransfer.files]);
    else say("This is not a file. Drop a photograph from a folder.", true);
  });

  addEventListener("paste", (event) => {
    const isText = /** @type {Element} */ (event.target).matches?.("input:not([type=file])");
    if (isText) return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) takeFiles(files);
    else say("The clipboard does not contain a picture. Copy a picture first.", true);
  });
}

// Takes photographs, videos, or a network that the visitor gives. Inside another page nothing can be given.
async function takeFiles(files) {
  const [first] = files;
  if (!first || isEmbedded) return;
  if (first.name.toLowerCase().endsWith(".onnx")) {
    if (await useNetworkFile(first)) predictAgain();
    return;
  }
  stopCamera(); // its view makes room for the result
  intoAddress(""); // the marks in the address are those of the photograph before
  if (!host.take(files)) predict(first);
}
