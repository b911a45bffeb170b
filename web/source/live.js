// The camera: frames go to the worker one by one, and their depth is shown as it comes.

import { made, part } from "viewer";
import { ask } from "./working.js";

const WIDTH = 640; // of the frames that are asked for; the network sees fewer pixels
const REASONS = {
  NotAllowedError: "the browser was not allowed to use it; allow it beside the address",
  NotFoundError: "there is none",
  OverconstrainedError: "there is none that fits",
  NotReadableError: "another program uses it",
};

// Gives the function that turns it off.
export function startCamera({ open, say, take }) {
  const section = part("live"), video = part("video"), shown = part("live-depth"), rate = part("rate");
  let stream = null;

  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.srcObject = null;
    section.hidden = true;
    document.body.classList.remove("shows-camera");
  }

  async function frames(mine) {
    const times = [];
    let seen = -1;
    while (stream === mine) {
      if (video.currentTime === seen) {
        await new Promise((done) => requestAnimationFrame(done));
        continue;
      }
      seen = video.currentTime;
      const { depth } = await ask("frame", { bitmap: await createImageBitmap(video) });
      if (stream !== mine) return;
      [shown.width, shown.height] = [depth.width, depth.height];
      shown.getContext("bitmaprenderer").transferFromImageBitmap(depth);
      times.push(performance.now());
      if (times.length > 20) times.shift();
      const seconds = (times.at(-1) - times[0]) / 1000;
      if (seconds > 0) rate.value = `${((times.length - 1) / seconds).toFixed(1)} frames a second`;
    }
  }

  async function begin() {
    if (stream) return;
    try {
      if (!navigator.mediaDevices) {
        throw new Error("the browser gives it to pages of https and localhost alone");
      }
      const wanted = { facingMode: "environment", width: { ideal: WIDTH } };
      const mine = await navigator.mediaDevices.getUserMedia({ video: wanted });
      stream = mine;
      section.hidden = false;
      document.body.classList.add("shows-camera");
      say("Loading the network …");
      video.srcObject = mine;
      await Promise.all([video.play(), open()]);
      say("The camera runs; its pictures stay in this browser.");
      await frames(mine);
    } catch (error) {
      stop();
      say(`The camera: ${REASONS[error.name] ?? error.message}`, true);
    }
  }

  part("camera-start").addEventListener("click", begin);
  part("camera-stop").addEventListener("click", () => { stop(); say("The camera is off."); });
  part("camera-take").addEventListener("click", () => {
    const canvas = made("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    stop();
    canvas.toBlob((blob) => take(new File([blob], "camera.png", { type: "image/png" })), "image/png");
  });
  return stop;
}
