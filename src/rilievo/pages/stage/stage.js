"use strict";
// The stage: the photograph and what was made of it under one slider, the surface beside or below,
// and all that is done with them.
const part = (id) => document.getElementById(id);

// Ends what listens to the whole window, where a page shows one photograph after another.
let life = new AbortController();

const SMALL = 480; // pixels of a window where the photograph takes the whole width, whatever stands below it
const AROUND_IT = 130, COLUMN = { wide: 272, middle: 184, narrow: 128 }; // pixels that legend and buttons take: above and below, or beside

// Area of a picture of this ratio in a box.
const area = (width, height, ratio) => Math.min(width, Math.max(0, height) * ratio) ** 2 / ratio;

// Pixels of the flat pane beside the surface, its largest share of the window, and what stands in it
// above and below photograph and depth, which lie one below the other there, or side by side. The pane
// may take more where the surface keeps its own width and some air to turn.
const ASIDE = 380, MOST_ASIDE = 0.42, AROUND_BOTH = 230, AIR = 1.15;

// Where the surface stands on a page that it fills, and how much the flat pane takes: as most of the
// window is picture. `isLarge` is the photograph's turn to be large.
function fullest(width, height, ratio, isLarge) {
  const column = width > 900 ? COLUMN.wide : COLUMN.middle, isWide = width > 900;
  const down = { flat: Math.min((isLarge ? 0.7 : 0.5) * height, (width - column) / ratio), isBelow: true, isColumn: true };
  if (isLarge) return { ...(isWide ? { flat: 0.75 * width, isBelow: false, isColumn: true } : down), column };
  const tall = height - AROUND_BOTH, [one, other] = [[1, 2], [2, 1]].map(([across, rows]) => {
    const flat = clamp(ASIDE, (tall * ratio * across) / rows, Math.max(MOST_ASIDE * width, width - AIR * height * ratio));
    return { flat, isBelow: false, isColumn: false, isBeside: across > 1, area: 2 * area(flat / across, tall / rows, ratio) + area(width - flat, height, ratio) };
  });
  const best = other.area > one.area ? other : one, beneath = area(width - column, down.flat, ratio) + area(width, height - down.flat, ratio);
  return { ...(best.area > beneath ? best : down), column };
}

// Where the surface stands, and how much the flat pane takes: as both pictures are largest. Legend
// and buttons stand in a column beside the photograph or above and below it.
function arrangement(width, height, ratio, isSmall) {
  const column = width > 900 ? COLUMN.wide : COLUMN.narrow, down = Math.min(0.55 * height, width / ratio + AROUND_IT);
  const ways = [{ flat: Math.min(width / 2, Math.max(0.3 * width, (height - AROUND_IT) * ratio)), isBelow: false, isColumn: false },
    { flat: down, isBelow: true, isColumn: false }, { flat: height / 2, isBelow: true, isColumn: true }];
  const least = ({ flat, isBelow, isColumn }) => Math.min(
    area((isBelow ? width : flat) - (isColumn ? column : 0), (isBelow ? flat : height) - (isColumn ? 0 : AROUND_IT), ratio),
    area(width - (isBelow ? 0 : flat), height - (isBelow ? flat : 0), ratio));
  const best = isSmall ? ways[Number(width <= SMALL)] : ways.sort((one, other) => least(other) - least(one))[0];
  return { ...best, column };
}

function arrange(views, ratio) {
  views.style.setProperty("--top", `${views.getBoundingClientRect().top + scrollY}px`);
  const isSmall = Math.min(views.clientWidth, document.documentElement.clientHeight) <= SMALL;
  const isFilled = views.matches(".filled:has(.solid)") && !isSmall, { clientWidth: width, clientHeight: height } = views;
  const { flat, isBelow, isColumn, isBeside, column } = isFilled ? fullest(width, height, ratio, views.matches(".large"))
    : arrangement(width, height, ratio, isSmall);
  for (const [name, pixels] of [["--flat", flat], ["--column", column]]) views.style.setProperty(name, `${Math.round(pixels)}px`);
  const classes = { below: isBelow, column: isColumn, small: isSmall, phone: isSmall && isBelow,
    aside: isFilled && !isBelow && !isColumn, beside: isFilled && Boolean(isBeside) };
  for (const [name, holds] of Object.entries(classes)) views.classList.toggle(name, holds);
}

const SURFACE = "Surface"; // the tab of the surface

// Makes the stage of the pictures that stand in `#pair`. Its tabs choose the picture right of the line. On a phone
// they choose all that is shown: the surface, the photograph, or that picture.
function setStage(ratio) {
  const views = part("views"), pair = part("pair"), tabs = part("tabs"), solid = views.querySelector(".solid");
  const pictures = [...pair.querySelectorAll("figure")].map((each) => (
    { title: each.querySelector("figcaption").textContent, picture: each.querySelector("img, canvas") }));
  const shown = slider(pictures), photograph = pictures[0].title;
  const frame = made("div", { className: "frame" }, shown.stage);
  views.style.setProperty("--ratio", ratio);
  views.classList.add("live");
  pair.replaceWith(frame);
  let changed = () => {}, chosen = "", showsSurface = Boolean(solid);
  function choose(title) {
    shown.choose(title);
    chosen = title;
    changed();
    mark();
  }
  function titleOnPhone() {
    if (showsSurface) return SURFACE;
    return shown.line.value === "100" ? photograph : chosen;
  }
  // Shows which tab is pressed, and the legend beside depth.
  function mark() {
    const isPhone = views.matches(".phone"), pressed = isPhone ? titleOnPhone() : chosen;
    views.classList.toggle("shows-surface", isPhone && showsSurface);
    for (const each of tabs.children) each.setAttribute("aria-pressed", each.textContent === pressed);
    part("legend")?.classList.toggle("aside", pressed !== "Depth");
  }
  // Shows the surface on a phone, or else the pictures; and moves the line.
  function turnTo(isSurface, share) {
    showsSurface = isSurface;
    shown.cut(share);
    changed();
    mark();
  }
  function tabOf(title, act, isForPhone) {
    const tab = made("button", { type: "button", textContent: title, className: isForPhone ? "phone-only" : "" });
    tab.addEventListener("click", () => act(tab));
    return tab;
  }
  // One tap shows a picture as large as the photograph, the next one both under the line.
  function choosePicture(tab) {
    const isWhole = tab.getAttribute("aria-pressed") === "true" && shown.line.value === "0";
    choose(tab.textContent);
    if (!views.matches(".aside")) turnTo(false, isWhole ? 50 : 0);
  }
  function draw() {
    const titles = shown.titles();
    tabs.replaceChildren(
      ...(solid ? [tabOf(SURFACE, () => turnTo(true, 50), true)] : []),
      ...(solid || titles.length ? [tabOf(photograph, () => turnTo(false, 100), true)] : []),
      ...titles.map((title) => tabOf(title, choosePicture, false)));
    shown.stage.classList.toggle("single", !titles.length);
    choose(titles[0] ?? "");
  }
  draw();
  function fit() {
    arrange(views, ratio);
    // On a phone the surface stands in the frame of the pictures, so that keys reach it after the tabs. A move would
    // end a full screen, so it waits for the end.
    const home = views.matches(".phone") ? frame : views;
    if (solid && solid.parentElement !== home && !document.fullscreenElement) home.append(solid);
    mark();
  }
  fit();
  part("swap")?.addEventListener("click", ({ target }) => {
    target.setAttribute("aria-pressed", views.classList.toggle("large"));
    fit();
  });
  const seen = new ResizeObserver(fit);
  for (const each of [views, document.querySelector(".top")]) seen.observe(each);
  addEventListener("resize", fit, { signal: life.signal });
  document.addEventListener("fullscreenchange", fit, { signal: life.signal });
  life.signal.addEventListener("abort", () => seen.disconnect());
  shown.line.addEventListener("change", () => changed());
  for (const kind of ["input", "change"]) shown.line.addEventListener(kind, mark);
  return { ...shown, choose, turnTo, whenChanged(act) { changed = act; },
    get tab() { return Math.max(0, shown.titles().indexOf(chosen)); },
    add(each) {
      const before = chosen;
      shown.add(each);
      draw();
      if (before) choose(before);
    } };
}

// The pixel of the photograph at a place of a picture in its box, and back.
const seenAt = (box, form, x, y) => [(x / box.width) * form.width - 0.5, (y / box.height) * form.height - 0.5];
const placeOf = (box, form, [u, v]) => [((u + 0.5) / form.width) * box.width, ((v + 0.5) / form.height) * box.height];

const photoBox = (stage) => stage.firstElementChild.getBoundingClientRect();

// Depth where the pointer is on a picture, from the lattice of the surface.
function read(stage, data, form, said, reading) {
  stage.addEventListener("pointermove", (event) => {
    const box = photoBox(stage), down = event.clientY - box.top;
    const isBelow = down > box.height && stage.getBoundingClientRect().height > 1.5 * box.height; // another picture
    const [u, v] = seenAt(box, form, event.clientX - box.left, isBelow ? down - box.height : down);
    const inside = (pixel, count) => clamp(0, Math.round(pixel), count - 1);
    const near = (pixel, first, count) => inside((pixel - first) / form.step, count);
    const z = data.depth[near(v, form.first_row, form.rows) * form.columns
      + near(u, form.first_column, form.columns)];
    reading.value = `column ${inside(u, form.width)}, row ${inside(v, form.height)}: ${said(z)}`;
  });
}

// The same on the surface itself, once a frame at most.
function probe(canvas, shown, said) {
  const reading = made("output", { className: "reading" });
  reading.setAttribute("aria-live", "off");
  canvas.parentElement.after(reading);
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

const inMetres = (number, factor) => `${Number((Number.parseFloat(number) * factor).toPrecision(3))} m`;

// Legend and words in one unit: that of the photograph, or metres by a line whose length is known.
// Without either the ends are far and near alone.
function inUnit({ factor = 1, known = -1, metric }) {
  for (const each of document.querySelectorAll("#ticks span, [data-unit]")) {
    const own = each.dataset.own ??= each.textContent, numbers = each.matches("#ticks span");
    const isNumber = numbers && Number.isFinite(Number.parseFloat(own)), isEnd = !each.previousElementSibling ? "far" : each.nextElementSibling ? "" : "near";
    if (known < 0 && isNumber && !metric) each.textContent = isEnd;
    else if (isNumber && isEnd) each.textContent = `${isEnd} ${inMetres(own, known < 0 ? 1 : factor)}`;
    else if (known < 0 || (numbers && !isNumber)) each.textContent = own;
    else each.textContent = numbers ? inMetres(own, factor) : `The scale comes from line ${known + 1}.`;
  }
}

// Measuring and the depth under the pointer on every picture, and the surface to turn. `data` has
// the depth and the faces of the lattice that `form` describes; `marks` are those of the beginning,
// and `keep` hears them later. Gives how lengths are told.
function enliven(whole, data, form, terms, state, marks = "", keep = () => {}) {
  inUnit(terms);
  const { stage } = whole, rule = measuring(data.depth, form, terms, inUnit);
  read(stage, data, form, rule.told, part("reading"));
  const box = () => photoBox(stage);
  rule.on(stage, { place: (at) => placeOf(box(), form, at), find: (x, y) => seenAt(box(), form, x, y) });
  if (!document.createElement("canvas").getContext("webgl2")) {
    state.textContent = "This browser has no WebGL 2, so it cannot show the surface.";
    return { rule, ...keeping({ stage: whole, rule, form, most: terms.most_metres }, marks, keep) };
  }
  const canvas = part("surface"), shown = show(data, form);
  probe(canvas, shown, rule.told);
  rule.on(canvas.parentElement, shown);
  shown.whenDrawn(rule.redraw);
  if (!shown.inside) {
    const width = Math.min(form.width, 1200), size = { width, height: Math.round((width * form.height) / form.width) };
    const picture = made("canvas", { ...size, ariaLabel: "Stereo picture for red-cyan glasses" });
    picture.setAttribute("role", "img");
    whole.add({ title: "Stereo", picture, draw: shown.anaglyph });
  }
  return { rule, shown, ...keeping({ stage: whole, rule, shown, form, most: terms.most_metres }, marks, keep) };
}

// A menu closes when something else is pressed, or by Escape.
for (const kind of ["pointerdown", "keydown", "focusin"]) {
  addEventListener(kind, (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      const isInside = menu.contains(event.target);
      if (kind === "keydown" ? event.key !== "Escape" : isInside) continue;
      menu.open = false;
      if (isInside) menu.firstElementChild.focus();
    }
  });
}
