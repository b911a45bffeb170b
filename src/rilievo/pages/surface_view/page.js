"use strict";
// Without this script the pictures stand side by side and the facts below.

async function start() {
  const pair = part("pair"), stage = pair ? slide(pair) : part("stage"), state = part("surface-state");
  if (!state) return;
  const form = JSON.parse(part("surface-form").textContent);
  try {
    state.textContent = "The surface is being made …";
    const data = unpack(await inflate(part("surface-data").textContent.trim()), form);
    await Promise.all(["photo", "normals"].map((id) => part(id)?.decode()));
    enliven(stage, data, form, JSON.parse(part("measure-terms").textContent), state);
  } catch (error) {
    state.textContent = `This browser cannot show the surface: ${error.message}`;
  }
}

start();
