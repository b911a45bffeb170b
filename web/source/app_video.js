// Videos: sent to the server, followed while it works on them, and shown.

import { made, part } from "viewer";
import { told } from "./response.js";

const PAUSE = 700, NAMES = /\.(3gp|avi|m4v|mkv|mov|mp4|mpe?g|webm|wmv)$/i;

export const isVideo = (file) => file.type.startsWith("video/") || NAMES.test(file.name);

export function videosOf({ say, results }) {
  const section = part("video-result"), shown = part("video-made"), original = part("video-original"), bar = part("video-progress"), stop = part("video-stop");
  let turn = 0, current = null;

  function hide() {
    turn++;
    section.hidden = true;
    shown.removeAttribute("src");
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
    shown.hidden = true;
    bar.hidden = false;
    bar.removeAttribute("value");
    return turn;
  }

  function progress({ state, share, frames, left }) {
    if (state === "waiting") return "waits for its turn";
    if (share !== null) bar.value = share;
    const rest = left === null ? "" : `, about ${Math.ceil(left)} s left`;
    return share === null ? `${Math.floor(frames / 2)} frames` : `${Math.round(100 * share)} % done${rest}`;
  }

  function done(id, files) {
    const at = (name) => `app/results/${id}/made/${encodeURIComponent(name)}`;
    const links = files.map((name) => made("a", { className: "button", href: `${at(name)}?download`, textContent: name }));
    part("video-files").replaceChildren(...links);
    const film = files.find((name) => name.endsWith(".mp4"));
    if (film) shown.src = at(film);
    shown.hidden = !film;
  }

  // `isGiven` says that the video is shown already, beside which the result appears.
  async function follow(id, isGiven = false) {
    const about = await told(`app/results/${id}`), mine = isGiven ? turn : begin(about.name);
    current = id;
    for (let now = about; mine === turn; now = await told(`app/results/${id}`)) {
      const works = now.state === "waiting" || now.state === "working";
      bar.hidden = stop.hidden = !works;
      if (now.state === "failed") throw new Error(now.error);
      if (now.state === "done") {
        done(id, now.files);
        say(`${now.name}: done.`);
        return;
      }
      say(`${now.name}: ${progress(now)}`);
      await new Promise((over) => setTimeout(over, PAUSE));
    }
  }

  async function make(file, model, checked) {
    const mine = begin(file.name), boxes = /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("#video-choices input:checked"));
    const save = [...boxes].map(({ value }) => value).join();
    try {
      original.src = URL.createObjectURL(file);
      original.hidden = false;
      say(`${file.name}: sent to the server …`);
      const asked = new URLSearchParams({ model, save, name: file.name });
      const { id, name } = await told(`app/videos?${asked}`, { method: "POST", body: checked(file) });
      results.add({ id, name, model, kind: "video" });
      if (mine === turn) await follow(id, true);
    } catch (error) {
      bar.hidden = stop.hidden = true;
      say(error.status === 404 ? `${file.name}: stopped.` : `${file.name}: ${error.message}`, error.status !== 404);
    }
  }

  shown.addEventListener("error", () => {
    if (shown.src) say("This browser cannot play the video that was made; its file is below.", true);
  });
  for (const kind of ["play", "pause", "seeked"]) {
    shown.addEventListener(kind, () => {
      if (original.hidden) return;
      original.currentTime = shown.currentTime;
      if (shown.paused) original.pause();
      else original.play().catch(() => {});
    });
  }
  stop.addEventListener("click", async () => {
    try {
      await told(`app/results/${current}/stop`, { method: "POST" });
    } catch (error) {
      say(error.message, true);
    }
  });
  return { hide, make, follow };
}
