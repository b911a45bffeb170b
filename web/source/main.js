// The page: photographs come in by file, drop, paste or camera, and results are shown.

import { BACKING, intoAddress, listOf, made, part, saved } from "viewer";
import { serverOf } from "./app_server.js";
import { startCamera } from "./live.js";
import { modelOption, offerBetter, searchModels } from "./model_list.js";
import { isDepth } from "./preparation.js";
import { marksNow, metresNow, showPictures, showRest, standStill } from "./result.js";
import { firstAnswer } from "./first.js";
import { introduced } from "./introduction.js";
import * as kept from "./own_photographs.js";
import { exampleNamed, fileOf, isEmbedded, settings } from "./settings.js";
import { tellSizes } from "./sizes.js";
import { fillStrip, onClick } from "./strip.js";
import { ask, isGpu } from "./working.js";

const OWN = "own", CALM = 2000; // ms before the second answer for the photograph with which the page opens
const state = part("state"), models = part("model"), view = part("fov");
let firstShown = null, last = null, asked = 0, opened = null, shownSearch = "";

function say(text, isFault = false, isSettled = false) {
  state.textContent = text;
  state.classList.toggle("fault", isFault);
  state.classList.toggle("settled", isSettled); // a phone hides what the result tells by itself
}

const fault = (name, error) => say(`${name}: ${error.message}`, true);
const options = () => ({ trim: true, fov: view.validity.valid ? view.valueAsNumber : NaN });

function told({ count, whole }) {
  if (count === whole) { say("Loading the network …"); return; }
  const of = whole ? ` of ${(whole / 1e6).toFixed(1)}` : "";
  say(`Loading the network: ${(count / 1e6).toFixed(1)}${of} MB`);
}

const named = (name) => settings.models.find((each) => each.name === name);
const isSharper = (model) => Boolean(model?.kind && !isDepth(model.kind));
// The network that answers second, after the first of the page; none if the chosen one answers alone.
const second = () => (isSharper(named(models.value)) ? named(models.value) : null);

// Opens the network that is chosen, once; a network that fails is not the one in use.
function open(file) {
  const model = (second() ? null : named(models.value)) ?? settings.models[0];
  const wanted = file ?? model;
  if (opened?.wanted !== wanted) {
    const ready = ask("open", file ? { file } : { model }, told);
    const mine = { wanted, ready };
    opened = mine;
    ready.catch(() => { if (opened === mine) opened = null; });
  }
  return opened.ready;
}

let own = null; // the ONNX file that the visitor picked
let stopCamera = () => {};

async function inBrowser(source, name, isLatest) {
  const file = await fileOf(source);
  const { threads } = await open(models.value === OWN ? own : null);
  if (!isLatest()) return null;
  say(`${name}: predicting depth …`);
  const result = await ask("predict", { file, name, options: options() },
    ({ count, whole }) => { if (isLatest()) say(`${name}: depth is predicted, view ${count} of ${whole} …`); });
  return { ...result, threads, next: result.camera.lens ? null : second()?.name };
}

// The same photograph by the second network; the first answer stays where it cannot be fetched.
async function sharpened(model, name, isLatest) {
  const { threads } = await ask("openSharper", { model }, told);
  if (!isLatest()) return null;
  say(`${name}: depth is predicted by ${model.name} …`);
  return { ...await ask("sharpen", { options: options() }), threads };
}

// Shows the result that `load` gives, unless something else is asked for meanwhile; what is given
// back is null then, or { fault } where it failed.
async function show(source, load, { isFirst = true } = {}) {
  const turn = ++asked, name = source.name || "photograph.png", began = performance.now(), isLatest = () => turn === asked;
  // The photograph that is shown already, by another network, for example, or as it came with the page.
  const isSame = last ? source === last : source.example === Object.keys(settings.examples)[0];
  document.body.classList.toggle("fades", Boolean(last)); // what came with the page stays as it is
  last = source;
  shownSearch = location.search;
  standStill();
  if (isFirst) document.body.setAttribute("aria-busy", "true");
  try {
    const result = await load(isLatest);
    if (!isLatest()) return null;
    result.marks ??= source.marks;
    const before = isSame ? marksNow() : null;
    showPictures(result, { threads: result.threads });
    offerBetter(result);
    document.body.classList.toggle("shows-example", Boolean(source.example));
    if (server) server.shown(result);
    else ownStrip();
    tellSizes(result);
    say(`${name}: making the surface …`);
    const rest = await ask("rest");
    if (!isLatest()) return null;
    showRest(result, rest, { say, before, keep: (marks) => {
        if (server) server.keep(result, marks);
        else if (source.own) kept.mark(source.own, marks);
        else if (source instanceof Blob) intoAddress(""); // which names no photograph that is kept
      },
      addresses: () => server?.addresses({ ...result, example: source.example }) ?? addresses(source) });
    const spent = ((performance.now() - began) / 1000).toFixed(2);
    say(result.next ? `${name}: the first answer came in ${spent} s, a sharper one by ${result.next} follows …`
      : `${isFirst ? "Done" : "Sharper, done"} in ${spent} s${result.id ? "" : ", nothing was uploaded"}.`, false, !result.next);
    return result;
  } catch (error) {
    if (!isLatest()) return null;
    fault(name, error);
    return { fault: error.message };
  } finally {
    if (isLatest()) document.body.removeAttribute("aria-busy");
  }
}

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// Shows a photograph; the second answer, which cannot be broken off, comes after `calm` [ms] in which
// nothing else was asked for.
async function predict(source, place = "", calm = 0) {
  const name = source.name || "photograph.png", model = second(), turn = asked;
  if (source.example) {
    await firstShown;
    await introduced();
    if (turn !== asked) return null;
  }
  const first = await show(source, (isLatest) => {
    say(`${[place, name].filter(Boolean).join(", ")}: predicting depth …`);
    return server?.hasModel() ? server.answer(source, options()) : inBrowser(source, name, isLatest);
  });
  if (!first?.next) return first;
  return show(source, async (isLatest) => {
    await pause(calm);
    if (!isLatest()) return null;
    return first.id ? server.sharpened(source, first, options()) : sharpened(model, name, isLatest);
  }, { isFirst: false });
}

const server = serverOf({ say, show, predict });

async function save(output) {
  say("The file is written …");
  try {
    const { name, blob } = await ask("save", { output, metres: metresNow(), backing: part("backing")?.checked ? BACKING : 0 });
    saved(blob, name);
    say(`${name}: ${(blob.size / 1e6).toFixed(1)} MB`);
  } catch (error) {
    fault("The file", error);
  }
}

// Photographs of the visitor, which stay in this browser: each has an address here.
async function ownStrip() {
  if (server) return;
  const all = await kept.all(), shown = new URLSearchParams(location.search).get("own");
  const links = () => all.map(({ id, name, file }) => {
    const picture = made("img", { src: URL.createObjectURL(file), alt: name });
    picture.onload = () => URL.revokeObjectURL(picture.src);
    picture.onerror = () => {
      URL.revokeObjectURL(picture.src);
      picture.replaceWith(made("span", { textContent: name })); // not a photograph, or one that this browser cannot read
    };
    const link = made("a", { href: `?own=${id}`, title: name }, picture);
    if (id === shown) link.setAttribute("aria-current", "page");
    onClick(link, () => {
      history.pushState(null, "", link.href);
      shownByAddress();
    });
    return link;
  });
  part("own").hidden = !all.length;
  part("own-photographs").replaceChildren(...links());
  fillStrip(all.some(({ id }) => id === shown) ? links() : []);
}

// Keeps photographs, and shows the first of them.
async function keepAll([first, ...others]) {
  for (const file of others.reverse()) await kept.keep(file);
  await keepOwn(first);
}

async function keepOwn(file) {
  const id = await kept.keep(file);
  if (!id) return;
  Object.assign(file, { own: id });
  history.pushState(null, "", new URL(`?own=${id}`, document.baseURI));
  shownSearch = location.search;
  ownStrip();
}

// What came with the page, if the address names nothing else.
async function showFirst() {
  if (/[?&](own|example)=/.test(location.search) || /\/r\//.test(location.pathname)) return;
  const first = await firstAnswer(), [example, name] = Object.entries(settings.examples)[0];
  if (!first || !part("result").hidden) return; // a network was quicker
  showPictures({ ...first.result, name }, { threads: 1 });
  offerBetter(first.result);
  document.body.classList.add("shows-example");
  showRest({ ...first.result, name }, first.rest, { say, keep: () => {}, addresses: () => addresses({ example }) });
}

// What the address names, where no server is behind the page.
async function shownByAddress() {
  const asked = new URLSearchParams(location.search), wanted = asked.get("own"), found = wanted && await kept.find(wanted);
  if (!found) {
    const result = await predict(exampleNamed(asked.get("example")), "", CALM);
    if (wanted) say("The photograph of this address is kept in another browser, or was forgotten: this is an example.", true);
    return result;
  }
  return predict(Object.assign(new File([found.file], found.name, { type: found.file.type }), { own: found.id, marks: found.marks }));
}

// Addresses of what this page shows where no server is behind it.
/** @param {{example?: string, own?: string}} source */
function addresses({ example: name, own }) {
  const embed = name && new URL(`?embed&example=${name}`, document.baseURI).href + location.hash;
  return { page: own ? null : location.href, embed };
}

// An example at an address of its own.
function example(source) {
  if (server) { server.example(source); return; }
  const wanted = new URL(`?example=${source.example}`, document.baseURI).href;
  if (wanted !== location.href) history.pushState(null, "", wanted);
  predict(source);
}

function given(files) {
  const [file] = files;
  if (!file || isEmbedded) return;
  if (file.name.toLowerCase().endsWith(".onnx")) take(file);
  else {
    stopCamera(); // photographs come in place of its view
    intoAddress(""); // marks are those of one photograph
    if (server?.take(files)) return;
    if (!server) keepAll(files);
    predict(file);
  }
}

// Another network: the photograph that is shown is predicted anew.
async function take(file) {
  say(`${file.name}: the network is opened …`);
  try {
    const { name } = await open(file);
    own = file;
    const option = models.querySelector(`option[value="${OWN}"]`);
    option.textContent = `${name} (${file.name})`;
    models.value = OWN;
    say(`${name} is ready.`);
    if (last) predict(last);
  } catch (error) {
    models.value = settings.models[0].name;
    fault(file.name, error);
  }
}

function listen() {
  for (const id of ["photo-file", "model-file"]) {
    part(id).addEventListener("change", ({ target }) => {
      given([...target.files]);
      target.value = ""; // the same file once more is a change too
    });
  }
  models.addEventListener("change", () => {
    if (models.value === OWN && !own) part("model-file").click();
    else if (last) predict(last);
    else if (server?.hasModel()) say("Give it a photograph.");
    else open(models.value === OWN ? own : null).then(() => say("The network is ready."), (error) => fault(models.value, error));
  });
  part("model-file").addEventListener("cancel", () => { if (!own) models.value = settings.models[0].name; });
  view.addEventListener("change", () => {
    if (!view.validity.valid) say("A field of view is a number of degrees from 1 to 170.", true);
    else if (last) predict(last);
  });
  part("lens")?.addEventListener("change", () => { if (last) predict(last); });
  if (!server) {
    part("forget").addEventListener("click", () => kept.forget().then(ownStrip));
    addEventListener("popstate", () => { if (location.search !== shownSearch) shownByAddress(); });
  }
  for (const each of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("button[data-output]"))) each.addEventListener("click", () => save(each.dataset.output));
  for (const each of part("examples").querySelectorAll("button")) {
    each.addEventListener("click", () => {
      each.closest("details").open = false;
      stopCamera();
      example(exampleNamed(each.dataset.example));
    });
  }
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files.length) given([...event.dataTransfer.files]);
    else say("What was dropped is no file; drop a photograph from a folder.", true);
  });
  addEventListener("paste", (event) => {
    if (/** @type {Element} */ (event.target).matches?.("input:not([type=file])")) return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) given(files);
    else say("What was pasted is no picture; copy a picture first.", true);
  });
  stopCamera = startCamera({ open: () => open(models.value === OWN ? own : null), say, take: (file) => given([file]) });
}

// Keeps what a visit without a network needs; private windows and plain http allow none of it.
async function keep() {
  try {
    await navigator.serviceWorker.register(`sw.js?runtime=${isGpu ? "gpu" : "cpu"}`);
    await navigator.serviceWorker.ready;
    document.documentElement.dataset.offline = "";
  } catch {
    delete document.documentElement.dataset.offline;
  }
}

async function start() {
  document.body.classList.toggle("embedded", isEmbedded);
  const stops = listOf(17, (each) =>
    `rgb(${settings.colours.subarray(...[0, 3].map((more) => 3 * Math.round((each * 255) / 16) + more)).join()})`);
  document.documentElement.style.setProperty("--ramp", `linear-gradient(to right, ${stops.join()})`);
  for (const [place, model] of settings.models.entries()) {
    models.append(modelOption({ ...model, here: !place && !server }, model.name, isSharper(model) ? ", sharper" : ""));
  }
  models.append(made("option", { value: OWN, textContent: "an ONNX file of yours …" }));
  models.value = (settings.models.find(isSharper) ?? settings.models[0]).name;
  server?.addModels();
  searchModels();
  listen();
  firstShown = showFirst().catch(() => {}); // the network answers too
  try {
    await ask("begin", { colours: settings.colours, version: settings.version });
    for (const each of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll(".top :disabled"))) each.disabled = false;
    if (server) {
      await server.begin();
      return;
    }
    await open();
    document.documentElement.dataset.ready = "";
    ownStrip();
    if (!last) await shownByAddress();
  } catch (error) {
    fault("This page", error);
  }
  keep();
}

start();
