"use strict";
// Without this script the pictures stand side by side and the facts below.

async function start() {
  for (const each of document.querySelectorAll("a[rel=ar]")) each.hidden = !each.relList.supports("ar");
  const { width, height } = part("views").dataset, stage = setStage(width / height), state = part("surface-state");
  if (!part("surface-form")) return;
  const form = JSON.parse(part("surface-form").textContent);
  try {
    state.textContent = "Making the surface …";
    const data = unpack(await inflate(part("surface-data").textContent.trim()), form);
    await Promise.all(["photo", "normals"].map((id) => part(id)?.decode()));
    const written = part("stage-marks")?.textContent.trim() ?? "";
    const { load, shown } = enliven(stage, data, form, JSON.parse(part("measure-terms").textContent), state, location.hash.slice(1) || written, intoAddress);
    sharing({ name: document.querySelector("h1").textContent, shown, say: (words) => { part("share-words").value = words; },
      addresses: () => ({ page: location.href, embed: location.protocol === "file:" ? location.href.replace(/^.*[/]/, "") : location.href }) });
    addEventListener("hashchange", () => load(location.hash.slice(1)));
  } catch (error) {
    state.textContent = `This browser cannot show the surface: ${error.message}`;
  }
}

start();
