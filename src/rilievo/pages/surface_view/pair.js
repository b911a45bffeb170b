"use strict";
// The slider over the photograph, the depth under the pointer, and all that is done with a surface.
const part = (id) => document.getElementById(id);

// Ends what listens to the whole window, where a page shows one photograph after another.
let life = new AbortController();

function slide(pair) {
  const stage = document.createElement("div"), slider = document.createElement("input");
  stage.className = "stage";
  stage.append(part("photo"), part("depth"));
  for (const [side, words] of [["left", "Photograph"], ["right", "Depth"]]) {
    const label = document.createElement("span");
    label.className = side;
    label.textContent = words;
    stage.append(label);
  }
  slider.type = "range";
  slider.step = "0.5";
  slider.setAttribute("aria-label", "Photograph left of the line, depth right of it");
  slider.addEventListener("input", () => stage.style.setProperty("--cut", `${slider.value}%`));
  stage.append(slider);
  pair.replaceWith(stage);
  return stage;
}

// The pixel of the photograph at a place of a picture in its box, and back.
const seenAt = (box, form, x, y) => [(x / box.width) * form.width - 0.5, (y / box.height) * form.height - 0.5];
const placeOf = (box, form, [u, v]) => [((u + 0.5) / form.width) * box.width, ((v + 0.5) / form.height) * box.height];

// Depth where the pointer is on a picture, from the lattice of the surface.
function read(stage, data, form, said, reading) {
  stage.addEventListener("pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    const [u, v] = seenAt(box, form, event.clientX - box.left, event.clientY - box.top);
    const near = (pixel, first, count) =>
      Math.max(0, Math.min(count - 1, Math.round((pixel - first) / form.step)));
    const z = data.depth[near(v, form.first_row, form.rows) * form.columns
      + near(u, form.first_column, form.columns)];
    const inside = (pixel, count) => Math.max(0, Math.min(count - 1, Math.round(pixel)));
    reading.value = `column ${inside(u, form.width)}, row ${inside(v, form.height)}: ${said(z)}`;
  });
}

function output(after) {
  const reading = document.createElement("output");
  reading.className = "reading quiet";
  reading.setAttribute("aria-live", "off");
  after.after(reading);
  return reading;
}

// The same on the surface itself, once a frame at most.
function probe(canvas, shown, said) {
  const reading = output(canvas.parentElement);
  let waiting = false;
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons || waiting) return;
    waiting = true;
    const { offsetX, offsetY } = event; // not to be had any more when the frame comes
    requestAnimationFrame(() => {
      waiting = false;
      reading.value = `depth here: ${said(shown.depthAt(offsetX, offsetY))}`;
    });
  });
}

// Measuring and the depth under the pointer on every picture, and the surface to turn. `data` has
// the depth and the faces of the lattice that `form` describes. Gives how lengths are told.
function enliven(stage, data, form, terms, state) {
  const rule = measuring(data.depth, form, terms);
  if (stage) {
    read(stage, data, form, rule.told, part("reading") ?? output(stage));
    const box = () => stage.getBoundingClientRect();
    rule.on(stage, { place: (at) => placeOf(box(), form, at), find: (x, y) => seenAt(box(), form, x, y) });
  }
  for (const image of document.querySelectorAll(".map :is(img, canvas)")) {
    read(image, data, form, rule.told, output(image));
  }
  if (!document.createElement("canvas").getContext("webgl2")) {
    state.textContent = "This browser has no WebGL 2, so it cannot show the surface.";
    return rule;
  }
  const canvas = part("surface"), shown = show(data, form);
  probe(canvas, shown, rule.told);
  rule.on(canvas.parentElement, shown);
  shown.whenDrawn(rule.redraw);
  return rule;
}
