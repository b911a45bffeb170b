// From a photograph to the result on the page: who predicts it, and what is shown in which order.
//
// A source is what is predicted: a File; { example, name } for an example; or { again, name } for the photograph of a
// result that the server keeps. It may have `marks`, the lines and points that are drawn on it, and `own`, the id
// by which this browser keeps it.

import { part } from "viewer";
import { openChosen, sharperModel } from "./chosen_model.js";
import { firstAnswer } from "./first.js";
import { introduced } from "./introduction.js";
import { offerBetter } from "./model_list.js";
import { currentMarks, showPictures, showRest, standStill } from "./result.js";
import { fileOf, pageAddresses, settings } from "./settings.js";
import { tellSizes } from "./sizes.js";
import { say, sayDownload, sayError } from "./status.js";
import { ask } from "./working.js";

/**
 * Who keeps results at addresses: the server behind the page (app_server.js), or the page alone (page_host.js).
 * @typedef {object} Host
 * @property {() => Promise<void>} begin Shows what the address names.
 * @property {() => boolean} hasModel Whether the chosen model runs on the server.
 * @property {(source: any, options: any) => Promise<any>} [answer] Predicts on the server.
 * @property {(source: any, first: any, options: any) => Promise<any>} [sharpened] Predicts the photograph of a first
 *   answer by the chosen model on the server.
 * @property {() => void} starting Called before a source is predicted.
 * @property {(result: any) => void} shown Called when the pictures of a result are on the page.
 * @property {(result: any, source: any, marks: string) => void} keepMarks
 * @property {(result: any, source: any) => {page: string, embed: string}} addresses Addresses of a result; null for
 *   none.
 * @property {(source: any) => void} example Shows an example at its address.
 * @property {(files: File[]) => boolean} take Takes files that the visitor gives; whether it also shows them.
 * @property {() => void} [addModels] Adds the server's models to the list.
 */

const DEFAULT_NAME = "photograph.png";

/** @type {Host} */
let host = null;
// The source that is shown or being predicted; null while the page shows what came with it.
let latestSource = null;
// Number of the latest request to show something. Older requests stop when a newer one begins.
let turn = 0;
// The promise that the first answer, which came with the page, is shown.
let firstShown = null;

/** @param {Host} pageHost */
export function useHost(pageHost) {
  host = pageHost;
}

/** Whether a photograph is shown, or being predicted. */
export const hasPhotograph = () => latestSource !== null;

/** Predict the photograph that is shown again, with the settings of the page; does nothing without one. */
export function predictAgain() {
  if (latestSource) predict(latestSource);
}

/**
 * Predict a source and show its result.
 *
 * A chosen model that is sharper answers second. Its prediction cannot be broken off, so it begins after a pause in
 * which nothing else was asked for.
 * @param {any} source
 * @param {string} [position] Which of several photographs this is, for the status line.
 * @param {number} [pauseBeforeSharper] [ms]
 * @returns {Promise<any>} The last result; null if something else was asked for meanwhile, and { fault } if it failed.
 */
export async function predict(source, position = "", pauseBeforeSharper = 0) {
  const name = source.name || DEFAULT_NAME;
  const model = sharperModel();
  const turnBefore = turn;
  if (source.example) {
    await firstShown;
    await introduced();
    if (turnBefore !== turn) return null;
  }

  const first = await show(source, (isLatest) => {
    say(`${[position, name].filter(Boolean).join(", ")}: predicting depth …`);
    return host.hasModel() ? host.answer(source, readOptions()) : predictInBrowser(source, name, isLatest);
  });
  if (!first?.next) return first;

  const sharpen = async (isLatest) => {
    await pause(pauseBeforeSharper);
    if (!isLatest()) return null;
    return first.id ? host.sharpened(source, first, readOptions()) : sharpenInBrowser(model, name, isLatest);
  };
  return show(source, sharpen, { isFirst: false });
}

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

function readOptions() {
  const fov = part("fov");
  return { trim: true, fov: fov.validity.valid ? fov.valueAsNumber : NaN };
}

async function predictInBrowser(source, name, isLatest) {
  const file = await fileOf(source);
  const { threads } = await openChosen();
  if (!isLatest()) return null;
  say(`${name}: predicting depth …`);
  const tellView = ({ count, whole }) => {
    if (isLatest()) say(`${name}: predicting depth, view ${count} of ${whole} …`);
  };
  const result = await ask("predict", { file, name, options: readOptions() }, tellView);
  // A panorama is not sharpened.
  return { ...result, threads, next: result.camera.lens ? null : sharperModel()?.name };
}

// The same photograph by the sharper model. The first answer stays if that model cannot be downloaded.
async function sharpenInBrowser(model, name, isLatest) {
  const { threads } = await ask("openSharper", { model }, sayDownload);
  if (!isLatest()) return null;
  say(`${name}: predicting depth with ${model.name} …`);
  return { ...await ask("sharpen", { options: readOptions() }), threads };
}

/**
 * Show the result that `load` gives. Errors are shown.
 * @param {any} source
 * @param {(isLatest: () => boolean) => Promise<any>} load May return early once `isLatest()` is false.
 * @param {{isFirst?: boolean}} [options] Whether this is the first answer for the source.
 * @returns {Promise<any>} The result; null if something else was asked for meanwhile, and { fault } if it failed.
 */
export async function show(source, load, { isFirst = true } = {}) {
  turn++;
  const ownTurn = turn;
  const isLatest = () => ownTurn === turn;
  const name = source.name || DEFAULT_NAME;
  const start = performance.now();
  const isSame = isShown(source);
  // What came with the page does not fade when another result replaces it.
  document.body.classList.toggle("fades", Boolean(latestSource));
  latestSource = source;
  host.starting();
  standStill();
  if (isFirst) document.body.setAttribute("aria-busy", "true");
  try {
    const result = await load(isLatest);
    if (!isLatest()) return null;
    result.marks ??= source.marks;
    const marksToKeep = isSame ? currentMarks() : null;
    showPicturesOf(result, source);

    say(`${name}: making the surface …`);
    const rest = await ask("rest");
    if (!isLatest()) return null;
    showRest(result, rest, {
      say,
      marksToKeep,
      keepMarks: (marks) => host.keepMarks(result, source, marks),
      addresses: () => host.addresses(result, source),
    });
    sayDone(result, name, isFirst, (performance.now() - start) / 1000);
    return result;
  } catch (error) {
    if (!isLatest()) return null;
    sayError(name, error);
    return { fault: error.message };
  } finally {
    if (isLatest()) document.body.removeAttribute("aria-busy");
  }
}

// Whether the page shows this source already, by another network for example, or as it came with the page.
function isShown(source) {
  if (latestSource) return source === latestSource;
  return source.example === firstExample().example;
}

function showPicturesOf(result, source) {
  showPictures(result, result.threads);
  offerBetter(result);
  document.body.classList.toggle("shows-example", Boolean(source.example));
  host.shown(result);
  tellSizes(result);
}

function sayDone(result, name, isFirst, seconds) {
  const spent = seconds.toFixed(2);
  if (result.next) {
    say(`${name}: first result in ${spent} s; predicting a sharper one with ${result.next} …`);
    return;
  }
  const done = isFirst ? "Done" : "Sharper result: done";
  // Results of the server have an id.
  const privacy = result.id ? "" : "; nothing was uploaded";
  say(`${done} in ${spent} s${privacy}.`, false, true);
}

function firstExample() {
  const [example, name] = Object.entries(settings.examples)[0];
  return { example, name };
}

/** Show the result that came with the page, unless the address names another. Errors do not matter. */
export function showFirstAnswer() {
  // The network answers for the same example later.
  firstShown = loadFirstAnswer().catch(() => {});
}

async function loadFirstAnswer() {
  const namesResult = /[?&](own|example)=/.test(location.search) || /\/r\//.test(location.pathname);
  if (namesResult) return;
  const answer = await firstAnswer();
  const isShowingResult = !part("result").hidden; // a network was quicker
  if (!answer || isShowingResult) return;

  const { example, name } = firstExample();
  const result = { ...answer.result, name };
  showPictures(result, 1);
  offerBetter(result);
  document.body.classList.add("shows-example");
  showRest(result, answer.rest, { say, keepMarks: () => {}, addresses: () => pageAddresses({ example }) });
}
