// The server behind the page: it predicts, keeps results at addresses of their own, and writes files.

import { made, part } from "viewer";
import { isDepth } from "./preparation.js";
import { modelOption } from "./model_list.js";
import { metresNow } from "./result.js";
import { exampleNamed, settings } from "./settings.js";
import { historyOf } from "./app_history.js";
import { isVideo, videosOf } from "./app_video.js";
import { told } from "./response.js";
import { ask } from "./working.js";

const PREFIX = "server:", app = settings.app, params = (values) => new URLSearchParams(values).toString();

const send = (address, file) => told(address, { method: "POST", body: file ?? null });

function checked(file) {
  if (!file.size) throw new Error("the file is empty: choose another photograph");
  if (file.size > app.max_bytes) {
    throw new Error(`it has ${(file.size / 1e6).toFixed(1)} MB, and this server takes at most ${(app.max_bytes / 1e6).toFixed(0)} MB`);
  }
  return file;
}

// Links to all files of a result, which are in metres once a length is known. A surface stands in the
// room only in its own size.
function link({ id, kind, outputs, terms }) {
  const isMetric = () => kind === "metric" || terms?.metric || metresNow().factor > 0;
  for (const each of part("server-files").querySelectorAll("a")) {
    const offered = ["all", ...outputs].includes(each.dataset.save);
    each.hidden = !offered || each.rel === "ar";
    if (each.rel === "ar") {
      const showRoom = () => { each.hidden = !(offered && each.relList.supports("ar") && isMetric()); };
      showRoom();
      part("files").ontoggle = showRoom; // a length may be known by then
    }
    const address = `app/results/${id}/files?${params({ save: each.dataset.save })}`;
    each.href = address;
    each.onclick = () => {
      const { factor, asked, option } = metresNow();
      each.href = factor ? `${address}&${params({ [option]: asked })}` : address;
    };
  }
}

// Null without a server. `show(title, load)` shows what `load()` gives; `predict(source)` predicts a
// source: a File, { example, name }, or { again, name } for the photograph of a result.
// The name that the server calls a file by, which its messages begin with.
const stem = (name) => name.replace(/\.[^.]*$/, "").replace(/[^\w.-]/g, "-").replace(/^[-.]+|[-.]+$/g, "");

export function serverOf({ say, show, predict }) {
  if (!app) return null;
  const models = part("model"), results = historyOf({ say, open: go }), videos = videosOf({ say, results });
  const fromServer = () => models.value.startsWith(PREFIX);
  // The name of the chosen model; none for the server's default, which is another one for videos.
  const chosen = () => (models.value === PREFIX + app.models[0].name ? "" : models.value.slice(PREFIX.length));
  const known = (model) => [...models.options].some(({ value }) => value === PREFIX + model);

  async function view(id) {
    const result = await ask("view", { address: new URL(`app/results/${id}/view`, document.baseURI).href });
    return { ...result, id, place: "on the server" };
  }

  // The network that answers first, where the chosen one's depth is affine, and so anchored.
  const gives = ({ depth }) => Boolean(depth) && isDepth(depth);
  const isAffine = (model) => Boolean(model?.depth) && !gives(model);
  const quick = () => (isAffine(app.models.find(({ name }) => PREFIX + name === models.value)) ? app.models.find(gives) : null);

  /** @param {{first?: any}} more */
  async function answered(source, { fov }, more = {}) {
    const { first } = more;
    const wanted = models.value.slice(PREFIX.length), model = first?.name ?? wanted, asked = { model };
    if (fov > 0) asked.fov = fov;
    if (part("lens").value) asked.projection = part("lens").value;
    if (source.example) asked.example = source.example;
    else if (source.again) asked.again = source.again;
    else asked.name = source.name || "photograph.png";
    if (source instanceof Blob) say(`${asked.name}: sent to the server …`);
    const { id, name, key } = await send(`app/results?${params(asked)}`, source instanceof Blob ? checked(source) : null)
      .catch((error) => { throw new Error(error.message.replace(`${stem(asked.name ?? "")}: `, "")); });
    if (!source.example && !first) results.add({ id, name, model, key });
    // The server calls a file by a name without spaces; a photograph keeps that of the visitor or the example.
    return { ...await view(id), ...(source.name && { name: source.name }), key, next: first && wanted };
  }

  // The same photograph by the chosen network; the first answer stays where that fails.
  async function sharpened(source, { id, name, key, madeBy }, options) {
    try {
      return await answered(source.example ? source : { again: id, name }, options);
    } catch (error) {
      if (!source.example) results.add({ id, name, key, model: madeBy.model });
      throw error;
    }
  }

  // The result at an address; a model that is chosen then predicts its photograph anew.
  async function present(id) {
    const about = await told(`app/results/${id}`);
    if (about.kind === "group") {
      results.unfold(id, about.ids);
      return present(results.ids()[0]);
    }
    if (about.kind === "video") return videos.follow(id);
    return show({ again: id, name: about.name }, async () => ({ ...await view(id), marks: about.marks }));
  }

  // What the address names: results, or else an example.
  async function go() {
    const ids = results.ids();
    try {
      if (ids.length) await present(ids[0]);
      else await predict(exampleNamed(new URLSearchParams(location.search).get("example")));
    } catch (error) {
      if (error.status === 404) results.forget(ids[0]);
      say(error.message, true);
    }
  }

  async function many(files) {
    const ids = [], faults = [];
    for (const [place, file] of files.entries()) {
      const result = await predict(file, `${place + 1} of ${files.length}`);
      if (result?.id) ids.push(result.id);
      else if (result?.fault) faults.push(`${file.name}: ${result.fault}`);
      else if (!result) return; // something else was given meanwhile
    }
    if (ids.length > 1) {
      results.together((await send(`app/groups?${params({ ids })}`)).id, ids);
      await go();
    }
    say(`${files.length - faults.length} of ${files.length} photographs are done. ${faults.join("; ")}`, faults.length > 0);
  }

  addEventListener("popstate", go);
  return {
    begin: go,
    example(source) {
      results.address([], source.example);
      predict(source);
    },
    hasModel: fromServer,
    answer: (source, asked) => answered(source, asked, { first: quick() }),
    sharpened,
    // Marks go to the server for results that this browser made; whoever was sent one keeps them to himself.
    keep({ id }, marks) {
      const key = results.key(id);
      if (id && key) fetch(`app/results/${id}/marks?${params({ key })}`, { method: "PUT", body: marks }).catch(() => {});
    },
    // Addresses of what is shown: of the page, and of the view that other pages embed.
    addresses({ id, example }) {
      const base = example ? `?example=${example}` : `/${id}`, at = (path) => new URL(path, document.baseURI).href + location.hash;
      return { page: location.href, embed: app.embeds && (id || example) ? at(`embed${base}`) : null };
    },
    shown(result) {
      videos.hide();
      results.draw();
      document.body.classList.toggle("from-server", Boolean(result.id));
      if (result.id) link(result);
      if (result.id && !result.next && known(result.madeBy.model)) models.value = PREFIX + result.madeBy.model;
    },
    // Takes what a photograph alone is not; says whether it did.
    take(files) {
      const video = files.find(isVideo);
      if (video && files.length === 1) videos.make(video, fromServer() ? chosen() : "", checked);
      else if (files.length > 1) many(files.filter((each) => !isVideo(each)));
      return Boolean(video) || files.length > 1;
    },
    addModels() {
      const own = app.models.map((model) => modelOption(model, PREFIX + model.name));
      const local = made("optgroup", { label: "In this browser" }, ...models.children);
      models.replaceChildren(made("optgroup", { label: "On the server" }, ...own), local);
      models.value = PREFIX + app.models[0].name;
    },
  };
}
