// The server behind the page: it predicts, keeps results at addresses of their own, and writes files.

import { made, part } from "viewer";
import { historyOf } from "./app_history.js";
import { isVideo, videosOf } from "./app_video.js";
import { modelOption } from "./model_list.js";
import { isDepth } from "./preparation.js";
import { fetchJson } from "./response.js";
import { currentMetres } from "./result.js";
import { exampleNamed, settings } from "./settings.js";
import { ask } from "./working.js";

// Beginning of the values of the server's models in the list.
const PREFIX = "server:";

const app = settings.app;
const list = part("model");

const query = (values) => new URLSearchParams(values).toString();
const post = (address, file = null) => fetchJson(address, { method: "POST", body: file });

/**
 * The server as the host of the page.
 * @param {{say: any, show: any, predict: any}} page
 * @returns {import("./showing.js").Host}
 */
export function serverHost({ say, show, predict }) {
  const results = historyOf({ open: showAddress });
  const videos = videosOf({ say, results });

  // Shows what the address names: results, or else an example.
  async function showAddress() {
    const ids = results.ids();
    try {
      if (ids.length) await showResult(ids[0]);
      else await predict(exampleNamed(new URLSearchParams(location.search).get("example")));
    } catch (error) {
      if (error.status === 404) results.forget(ids[0]);
      say(error.message, true);
    }
  }

  // Shows a result. A model that is chosen afterwards predicts its photograph anew.
  async function showResult(id) {
    const about = await fetchJson(`app/results/${id}`);
    if (about.kind === "group") {
      results.unfold(id, about.ids);
      return showResult(results.ids()[0]);
    }
    if (about.kind === "video") return videos.follow(id);
    const source = { again: id, name: about.name };
    return show(source, async () => ({ ...await fetchResult(id), marks: about.marks }));
  }

  /**
   * Predicts a source on the server, by the chosen model.
   * @param {any} source
   * @param {{fov: number}} options
   * @param {{name: string} | null} [firstModel] The model that answers first, before the chosen one.
   */
  async function answer(source, { fov }, firstModel = null) {
    const chosen = list.value.slice(PREFIX.length);
    const model = firstModel?.name ?? chosen;
    const request = requestFor(source, model, fov);
    const isFile = source instanceof Blob;
    if (isFile) say(`${request.name}: sending to the server …`);

    const address = `app/results?${query(request)}`;
    const sent = await post(address, isFile ? checkSize(source) : null).catch((error) => {
      // The page names the file itself before a message.
      throw new Error(error.message.replace(`${serverName(request.name ?? "")}: `, ""));
    });
    const { id, name, key } = sent;
    const isLast = !firstModel;
    if (!source.example && isLast) results.add({ id, name, model, key });

    const result = { ...await fetchResult(id), key, next: firstModel && chosen };
    // The server calls a file by a name without spaces; the page calls it as the visitor does.
    if (source.name) result.name = source.name;
    return result;
  }

  // Predicts the photograph of a first answer by the chosen model. If this fails, the first answer stays.
  async function sharpened(source, { id, name, key, madeBy }, options) {
    try {
      return await answer(source.example ? source : { again: id, name }, options);
    } catch (error) {
      if (!source.example) results.add({ id, name, key, model: madeBy.model });
      throw error;
    }
  }

  async function predictAll(files) {
    const ids = [];
    const faults = [];
    for (const [index, file] of files.entries()) {
      const result = await predict(file, `${index + 1} of ${files.length}`);
      if (result?.id) ids.push(result.id);
      else if (result?.fault) faults.push(`${file.name}: ${result.fault}`);
      else if (!result) return; // something else was asked for meanwhile
    }
    if (ids.length > 1) {
      const group = await post(`app/groups?${query({ ids })}`);
      results.together(group.id, ids);
      await showAddress();
    }
    const done = `${files.length - faults.length} of ${files.length} photographs were predicted.`;
    say(`${done} ${faults.join("; ")}`, faults.length > 0);
  }

  addEventListener("popstate", showAddress);
  return {
    begin: showAddress,
    hasModel: isServerModelChosen,
    answer: (source, options) => answer(source, options, quickModel()),
    sharpened,
    starting() {},
    shown(result) {
      videos.hide();
      results.draw();
      document.body.classList.toggle("from-server", Boolean(result.id));
      if (!result.id) return;
      linkFiles(result);
      const value = PREFIX + result.madeBy.model;
      const isListed = [...list.options].some((option) => option.value === value);
      if (!result.next && isListed) list.value = value;
    },
    // Only the browser that made a result has the key to its marks. Whoever was sent the result keeps marks to himself.
    keepMarks({ id }, source, marks) {
      const key = results.key(id);
      if (!id || !key) return;
      fetch(`app/results/${id}/marks?${query({ key })}`, { method: "PUT", body: marks }).catch(() => {});
    },
    addresses({ id }, { example }) {
      const page = location.href;
      if (!app.embeds || !(id || example)) return { page, embed: null };
      const path = example ? `embed?example=${example}` : `embed/${id}`;
      return { page, embed: new URL(path, document.baseURI).href + location.hash };
    },
    example(source) {
      results.address([], source.example);
      predict(source);
    },
    take(files) {
      const video = files.find(isVideo);
      if (video && files.length === 1) videos.make(video, chosenForVideos(), checkSize);
      else if (files.length > 1) predictAll(files.filter((file) => !isVideo(file)));
      return Boolean(video) || files.length > 1;
    },
    addModels() {
      const serverOptions = app.models.map((model) => modelOption(model, PREFIX + model.name));
      const browserGroup = made("optgroup", { label: "In this browser" }, ...list.children);
      list.replaceChildren(made("optgroup", { label: "On the server" }, ...serverOptions), browserGroup);
      list.value = PREFIX + app.models[0].name;
    },
  };
}

const isServerModelChosen = () => list.value.startsWith(PREFIX);

// The chosen model; empty for the server's default, which is another one for videos.
function chosenForVideos() {
  if (!isServerModelChosen() || list.value === PREFIX + app.models[0].name) return "";
  return list.value.slice(PREFIX.length);
}

// The model that answers before the chosen one, if the chosen one's depth is affine, and so anchored; else null.
function quickModel() {
  const chosen = app.models.find(({ name }) => PREFIX + name === list.value);
  const isAffine = chosen?.depth && !isDepth(chosen.depth);
  if (!isAffine) return null;
  return app.models.find(({ depth }) => depth && isDepth(depth));
}

function requestFor(source, model, fov) {
  const request = { model };
  if (fov > 0) request.fov = fov;
  if (part("lens").value) request.projection = part("lens").value;
  if (source.example) request.example = source.example;
  else if (source.again) request.again = source.again;
  else request.name = source.name || "photograph.png";
  return request;
}

function checkSize(file) {
  if (!file.size) throw new Error("the file is empty: choose another photograph");
  if (file.size > app.max_bytes) {
    const megabytes = (file.size / 1e6).toFixed(1);
    const most = (app.max_bytes / 1e6).toFixed(0);
    throw new Error(`it has ${megabytes} MB, but this server accepts at most ${most} MB; reduce its size`);
  }
  return file;
}

// The name by which the server calls a file, with which its messages begin.
const serverName = (name) => name.replace(/\.[^.]*$/, "").replace(/[^\w.-]/g, "-").replace(/^[-.]+|[-.]+$/g, "");

async function fetchResult(id) {
  const address = new URL(`app/results/${id}/view`, document.baseURI).href;
  return { ...await ask("view", { address }), id, place: "on the server" };
}

// Sets the links to all files of a result, which are in metres once a length is known. "View in your room" (rel=ar) is
// offered only for a surface in its own size.
function linkFiles({ id, kind, outputs, terms }) {
  const isMetric = () => kind === "metric" || terms?.metric || currentMetres().factor > 0;
  for (const link of part("server-files").querySelectorAll("a")) {
    const isOffered = ["all", ...outputs].includes(link.dataset.save);
    link.hidden = !isOffered;
    if (link.rel === "ar") {
      const updateRoomLink = () => { link.hidden = !(isOffered && link.relList.supports("ar") && isMetric()); };
      updateRoomLink();
      part("files").ontoggle = updateRoomLink; // a length may be known by then
    }
    const address = `app/results/${id}/files?${query({ save: link.dataset.save })}`;
    link.href = address;
    link.onclick = () => {
      const { factor, asked, option } = currentMetres();
      link.href = factor ? `${address}&${query({ [option]: asked })}` : address;
    };
  }
}
