// Videos: sent to the server, followed while it works on them, and shown.

import { made, part } from "viewer";
import { fetchJson } from "./response.js";

// Pause between two questions for the progress [ms].
const POLLING_PAUSE = 700;
const VIDEO_NAMES = /\.(3gp|avi|m4v|mkv|mov|mp4|mpe?g|webm|wmv)$/i;

/** @param {File} file */
export const isVideo = (file) => file.type.startsWith("video/") || VIDEO_NAMES.test(file.name);

/**
 * The part of the page that shows a video: `make` sends one to the server, `follow` shows that of an address, and
 * `hide` makes room for another result.
 * @param {object} page
 * @param {(text: string, isError?: boolean) => void} page.say
 * @param {any} page.results The results of this browser: see historyOf.
 */
export function videosOf({ say, results }) {
  const section = part("video-result");
  const result = part("video-made");
  const original = part("video-original");
  const bar = part("video-progress");
  const stopButton = part("video-stop");
  // Number of the video that is shown. What follows an older one ends.
  let turn = 0;
  let currentId = null;

  function hide() {
    turn++;
    section.hidden = true;
    result.removeAttribute("src");
    if (original.src) URL.revokeObjectURL(original.src);
    original.removeAttribute("src");
    original.hidden = true;
    document.body.classList.remove("shows-video");
  }

  function begin(name) {
    hide();
    section.hidden = false;
    document.body.classList.add("shows-video");
    part("video-title").textContent = name;
    part("video-files").replaceChildren();
    result.hidden = true;
    bar.hidden = false;
    bar.removeAttribute("value");
    return turn;
  }

  // Sends a video to the server, and shows it until the result is there.
  async function make(file, model, checkSize) {
    const ownTurn = begin(file.name);
    const choices = /** @type {NodeListOf<HTMLInputElement>} */ (
      document.querySelectorAll("#video-choices input:checked"));
    const save = [...choices].map(({ value }) => value).join();
    try {
      original.src = URL.createObjectURL(file);
      original.hidden = false;
      say(`${file.name}: sending to the server …`);
      const query = new URLSearchParams({ model, save, name: file.name });
      const { id, name } = await fetchJson(`app/videos?${query}`, { method: "POST", body: checkSize(file) });
      results.add({ id, name, model, kind: "video" });
      if (ownTurn === turn) await followProgress(id, ownTurn, await fetchJson(`app/results/${id}`));
    } catch (error) {
      hideProgress();
      const isStopped = error.status === 404;
      say(isStopped ? `${file.name}: stopped.` : `${file.name}: ${error.message}`, !isStopped);
    }
  }

  // Shows the video of an address, or how far the server is with it.
  async function follow(id) {
    const video = await fetchJson(`app/results/${id}`);
    await followProgress(id, begin(video.name), video);
  }

  async function followProgress(id, ownTurn, video) {
    currentId = id;
    let current = video;
    while (ownTurn === turn) {
      const isWorking = current.state === "waiting" || current.state === "working";
      bar.hidden = !isWorking;
      stopButton.hidden = !isWorking;
      if (current.state === "failed") throw new Error(current.error);
      if (current.state === "done") {
        showFiles(id, current.files);
        say(`${current.name}: done.`);
        return;
      }
      if (current.state === "working" && current.share !== null) bar.value = current.share;
      say(`${current.name}: ${progressInWords(current)}`);
      await new Promise((resolve) => setTimeout(resolve, POLLING_PAUSE));
      current = await fetchJson(`app/results/${id}`);
    }
  }

  function hideProgress() {
    bar.hidden = true;
    stopButton.hidden = true;
  }

  function showFiles(id, files) {
    const addressOf = (name) => `app/results/${id}/made/${encodeURIComponent(name)}`;
    const links = files.map((name) =>
      made("a", { className: "button", href: `${addressOf(name)}?download`, textContent: name }));
    part("video-files").replaceChildren(...links);
    const film = files.find((name) => name.endsWith(".mp4"));
    if (film) result.src = addressOf(film);
    result.hidden = !film;
  }

  result.addEventListener("error", () => {
    if (result.src) say("This browser cannot play the resulting video. You can download it below.", true);
  });
  // The original plays along with the result.
  for (const kind of ["play", "pause", "seeked"]) {
    result.addEventListener(kind, () => {
      if (original.hidden) return;
      original.currentTime = result.currentTime;
      if (result.paused) original.pause();
      else original.play().catch(() => {});
    });
  }
  stopButton.addEventListener("click", async () => {
    try {
      await fetchJson(`app/results/${currentId}/stop`, { method: "POST" });
    } catch (error) {
      say(error.message, true);
    }
  });
  return { hide, make, follow };
}

// The server does not know how long a video without a stated length takes, so `share` is null then.
function progressInWords({ state, share, frames, left }) {
  if (state === "waiting") return "waiting in the queue";
  const count = Math.floor(frames / 2);
  if (share === null) return `${count} ${count === 1 ? "frame" : "frames"} done`;
  const rest = left === null ? "" : `, about ${Math.ceil(left)} s left`;
  return `${Math.round(100 * share)}% done${rest}`;
}
