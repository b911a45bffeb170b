"use strict";
// What is handed on: the address, a line that embeds the page in another one, a video that turns.

const TURN = 3, FRAMES = 30; // seconds, frames a second

const saved = (blob, name) => {
  const address = URL.createObjectURL(blob);
  made("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
};

// Copies a text, or shows it where the browser does not let it.
async function copied(text, words) {
  try {
    await navigator.clipboard.writeText(text);
    return words;
  } catch {
    return text;
  }
}

const escaped = (text) => text.replace(/[&"<>]/g, (each) => `&#${each.charCodeAt(0)};`);
const embedLine = (address, title) =>
  `<iframe src="${escaped(address)}" title="${escaped(title)}" width="800" height="600" loading="lazy" allow="fullscreen"></iframe>`;

// The surface as it turns once to both sides, as a film that the browser records.
async function turnOf(canvas, shown) {
  const kind = ["video/webm;codecs=vp9", "video/webm", "video/mp4"].find((each) => globalThis.MediaRecorder?.isTypeSupported(each));
  if (!kind || !canvas.captureStream) throw new Error("this browser cannot record videos; use 'rilievo predict --save turn' instead");
  const recorder = new MediaRecorder(canvas.captureStream(FRAMES), { mimeType: kind, videoBitsPerSecond: 6e6 }), pieces = [];
  recorder.addEventListener("dataavailable", ({ data }) => pieces.push(data));
  const ended = new Promise((done) => recorder.addEventListener("stop", done));
  recorder.start();
  await shown.swing(TURN);
  recorder.stop();
  await ended;
  return new Blob(pieces, { type: kind.replace(/;.*/, "") });
}

// The buttons of the menu. `addresses()` gives { page, embed }, null what there is none of.
function sharing({ name, shown, addresses, say }) {
  const on = (id, act) => {
    if (part(id)) part(id).onclick = async () => {
      try {
        say(await act());
      } catch (error) {
        say(error.message);
      }
    };
  };
  on("copy-address", () => {
    const { page } = addresses();
    return page ? copied(page, "The link was copied. It includes your lines and the view.") : "This photograph is only in this browser. Save it as a web page to share it.";
  });
  on("copy-embed", () => {
    const { embed } = addresses();
    return embed ? copied(embedLine(embed, name), "The embed code was copied. It shows this result on another page.")
      : "This page cannot give embed code for this result. Save it as a web page, and embed that page.";
  });
  on("save-turn", async () => {
    if (!shown) throw new Error("There is no surface to turn.");
    say(`Recording for ${TURN} seconds …`);
    const film = await turnOf(part("surface"), shown), ending = film.type.slice(6);
    saved(film, `${name.replace(/\.[^.]*$/, "")}.turn.${ending}`);
    return `The video was saved (${Math.ceil(film.size / 1e3)} kB).`;
  });
}
