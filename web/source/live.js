// The camera: frames go to the worker one by one, and their depth is shown as it comes.

import { made, part } from "viewer";
import { ask } from "./working.js";

// Width of the frames that are asked for [px]; the network sees fewer pixels.
const FRAME_WIDTH = 640;
// Frames over which the rate is measured.
const RATE_FRAMES = 20;
const REASONS = {
  NotAllowedError: "the browser does not allow it; you can allow it next to the address bar",
  NotFoundError: "no camera was found",
  OverconstrainedError: "no suitable camera was found",
  NotReadableError: "another program is using it",
};

/**
 * Prepare the buttons of the camera.
 * @param {object} page
 * @param {() => Promise<any>} page.open Opens the network that predicts its frames.
 * @param {(text: string, isError?: boolean) => void} page.say
 * @param {(file: File) => void} page.take Takes a frame as a photograph.
 * @returns {() => void} Turns the camera off.
 */
export function startCamera({ open, say, take }) {
  const section = part("live");
  const video = part("video");
  let stream = null;

  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.srcObject = null;
    section.hidden = true;
    document.body.classList.remove("shows-camera");
  }

  async function begin() {
    if (stream) return;
    try {
      if (!navigator.mediaDevices) {
        throw new Error("browsers only allow it on https pages and on localhost");
      }
      const wanted = { facingMode: "environment", width: { ideal: FRAME_WIDTH } };
      const ownStream = await navigator.mediaDevices.getUserMedia({ video: wanted });
      stream = ownStream;
      section.hidden = false;
      document.body.classList.add("shows-camera");
      say("Loading the model …");
      video.srcObject = ownStream;
      await Promise.all([video.play(), open()]);
      say("The camera is on. Its pictures stay in this browser.");
      await predictFrames(video, () => stream === ownStream);
    } catch (error) {
      stop();
      say(`The camera cannot be used: ${REASONS[error.name] ?? error.message}`, true);
    }
  }

  function takePhotograph() {
    const canvas = made("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    stop();
    canvas.toBlob((blob) => take(new File([blob], "camera.png", { type: "image/png" })), "image/png");
  }

  part("camera-start").addEventListener("click", begin);
  part("camera-take").addEventListener("click", takePhotograph);
  part("camera-stop").addEventListener("click", () => {
    stop();
    say("The camera is off.");
  });
  return stop;
}

// Shows the depth of each new frame while the camera runs.
async function predictFrames(video, isRunning) {
  const canvas = part("live-depth");
  const times = [];
  let shownTime = -1;
  while (isRunning()) {
    if (video.currentTime === shownTime) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      continue;
    }
    shownTime = video.currentTime;
    const { depth } = await ask("frame", { bitmap: await createImageBitmap(video) });
    if (!isRunning()) return;
    canvas.width = depth.width;
    canvas.height = depth.height;
    canvas.getContext("bitmaprenderer").transferFromImageBitmap(depth);
    times.push(performance.now());
    if (times.length > RATE_FRAMES) times.shift();
    showRate(times);
  }
}

function showRate(times) {
  const seconds = (times.at(-1) - times[0]) / 1000;
  if (seconds > 0) part("rate").value = `${((times.length - 1) / seconds).toFixed(1)} frames a second`;
}
