"use strict";
// Lines to measure with, on the photograph and on the surface: their ends are dragged or moved with
// the arrow keys, and what they measure stands on them.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MOST_STEPS = 100; // that can be undone

function made(name, properties, ...children) {
  const found = Object.assign(document.createElement(name), properties);
  found.append(...children);
  return found;
}

function drawn(name, attributes, ...children) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children);
  return found;
}

const strokes = () => ["under", "over"].map((name) => drawn("line", { class: name }));
const end = (most) => drawn("g", { tabindex: 0, role: "slider", "aria-orientation": "horizontal",
  "aria-valuemin": 0, "aria-valuemax": most },
  drawn("circle", { class: "target", r: 20 }), drawn("circle", { class: "under", r: 8 }),
  drawn("circle", { class: "over", r: 8 }));

// A sheet of lines over a picture. `place` gives where a place of the photograph at a depth lies on
// it, `find` the place of the photograph that is seen somewhere on it; either gives null for nowhere.
// `most` is the last column.
function sheet(parent, { place, find, still }, moves, most) {
  const svg = drawn("svg", { class: "lines" });
  let rows = [];
  parent.append(svg);
  function line(at) {
    const ends = ["first", "second"].map((name) => {
      const handle = end(most);
      let grip = null, last = null;
      // To where the pointer was last: once a frame, since finding the surface takes a while.
      function follow() {
        if (!grip || !last) return;
        const box = svg.getBoundingClientRect(), [x, y] = last;
        last = null;
        const found = find(x - box.left - grip.x, y - box.top - grip.y);
        if (found) moves.to(at, name, found);
      }
      handle.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        event.preventDefault(); // neither turns the surface nor selects what is written
        if (moves.busy()) return;
        handle.focus();
        still?.();
        handle.setPointerCapture(event.pointerId);
        const box = svg.getBoundingClientRect(), [x, y] = handle.place;
        grip = { id: event.pointerId, x: event.clientX - box.left - x, y: event.clientY - box.top - y };
        moves.begin();
      });
      handle.addEventListener("pointermove", (event) => {
        if (event.pointerId !== grip?.id) return;
        if (!last) requestAnimationFrame(follow);
        last = [event.clientX, event.clientY];
      });
      for (const over of ["pointerup", "pointercancel", "lostpointercapture"]) {
        handle.addEventListener(over, (event) => {
          if (event.pointerId !== grip?.id) return;
          follow();
          grip = null;
          moves.end();
        });
      }
      handle.addEventListener("keydown", (event) => {
        const arrow = ARROWS[event.key], step = event.shiftKey ? 10 : 1;
        if (!arrow || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        if (moves.busy()) return;
        still?.();
        if (!event.repeat) moves.begin();
        moves.by(at, name, [step * arrow[0], step * arrow[1]]);
        moves.end();
      });
      return handle;
    });
    const [under, over] = strokes(), text = drawn("text", {});
    return { group: drawn("g", {}, under, over, ...ends, text), under, over, ends, text };
  }
  function draw(lines, measured) {
    if (rows.length !== lines.length) {
      rows = lines.map((_, at) => line(at));
      svg.replaceChildren(...rows.map((each) => each.group));
    }
    rows.forEach(({ group, under, over, ends, text }, at) => {
      const depths = measured.depths[at];
      const places = [lines[at].first, lines[at].second].map((each, side) => place(each, depths[side]));
      group.classList.toggle("known", at === measured.known);
      ends.forEach((handle, side) => {
        const [u, v] = side ? lines[at].second : lines[at].first;
        handle.style.display = places[side] ? "" : "none"; // behind the camera
        if (!places[side]) return;
        handle.place = places[side];
        handle.setAttribute("transform", `translate(${places[side].join()})`);
        handle.setAttribute("aria-label", `End ${side ? "B" : "A"} of line ${at + 1}`);
        handle.setAttribute("aria-valuenow", Math.round(u));
        handle.setAttribute("aria-valuetext",
          `column ${Math.round(u)}, row ${Math.round(v)}: ${measured.texts[at]}`);
      });
      const whole = places.every(Boolean);
      for (const each of [under, over, text]) each.style.display = whole ? "" : "none";
      if (!whole) return;
      const [[x1, y1], [x2, y2]] = places;
      for (const each of [under, over]) {
        for (const [key, value] of Object.entries({ x1, y1, x2, y2 })) each.setAttribute(key, value);
      }
      // Above the middle, and inside the picture.
      const box = parent.getBoundingClientRect();
      text.textContent = lines.length > 1 ? `${at + 1}: ${measured.texts[at]}` : measured.texts[at];
      const half = 4.2 * text.textContent.length;
      text.setAttribute("x", Math.max(half, Math.min(box.width - half, (x1 + x2) / 2)));
      text.setAttribute("y", Math.max(20, Math.min(box.height - 6, (y1 + y2) / 2 - 12)));
    });
  }
  return { draw };
}

// Metres as people type them, or null of an empty text.
function typed(text, terms) {
  const name = text.trim().toLowerCase();
  if (!name) return { metres: null };
  const metres = terms.things[name] ?? Number(name.replace(",", ".").replace(/\s*m$/, ""));
  if (metres > 0 && metres <= terms.most_metres) return { metres };
  return { fault: `A known length is a positive number of metres, such as 0.46, or one of `
    + `${Object.keys(terms.things).join(", ")}; found '${text.slice(0, 40)}'.` };
}

function words(measured, terms) {
  if (measured.known >= 0) {
    // Where files are written when somebody asks for them, they are in these metres.
    const [where, kept] = terms.in_files ? ["here and in files", "the legend keeps its"]
      : ["here", "legend, facts and files keep their"];
    return `Metres from line ${measured.known + 1}, ${where}; ${kept} own numbers.`;
  }
  return measured.metric ? "Eight in ten true lengths lie within such a range."
    : "Metres are not known: type the length of a line that you know.";
}

// The part of the page to measure in. Sheets are added with `on`; `scale` is how depth is told now.
function measuring(depth, form, terms) {
  const measure = ruler(depth, form, terms), sheets = [], past = [], section = part("measure");
  const list = part("lines"), undo = part("undo"), saying = part("measure-words");
  let lines = [], before = null, measured = measure(lines);
  const inside = ([u, v]) =>
    [Math.max(0, Math.min(form.width - 1, u)), Math.max(0, Math.min(form.height - 1, v))];
  const moves = {
    busy: () => before !== null,
    begin() { before = JSON.stringify(lines); },
    to(at, name, place) { lines[at][name] = inside(place); show(); },
    by(at, name, [right, down]) { moves.to(at, name, [lines[at][name][0] + right, lines[at][name][1] + down]); },
    end() {
      if (before !== null && before !== JSON.stringify(lines)) past.push(before);
      if (past.length > MOST_STEPS) past.shift();
      before = null;
      show();
    },
  };
  // Nothing else changes while an end is dragged: one step of undo is one change.
  function change(act) {
    if (moves.busy()) return;
    moves.begin();
    act();
    moves.end();
  }
  function back() {
    if (!past.length || moves.busy()) return;
    lines = JSON.parse(past.pop());
    show();
  }
  // Screen readers tell it anew whenever it is written.
  function tell(text) { if (saying.textContent !== text) saying.textContent = text; }
  function row(at) {
    const reading = made("output", {}), unit = document.createTextNode(" m");
    const metres = made("input", { type: "text", inputMode: "decimal", size: 8, autocomplete: "off" });
    reading.setAttribute("aria-live", "off"); // the ends tell it while they are moved
    metres.setAttribute("list", "things");
    const drop = made("button", { type: "button", textContent: "Remove" });
    drop.setAttribute("aria-label", `Remove line ${at + 1}`);
    drop.addEventListener("click", () => {
      change(() => { lines.splice(at, 1); });
      part("add-line").focus();
    });
    metres.addEventListener("change", () => {
      const found = typed(metres.value, terms);
      metres.setAttribute("aria-invalid", Boolean(found.fault));
      if (found.fault) { tell(found.fault); return; }
      // A new value replaces the old one, whichever line it was of.
      change(() => lines.forEach((line, each) => {
        if (each === at || found.metres) line.metres = each === at ? found.metres : null;
      }));
    });
    return made("li", {}, reading, made("label", {}, "known length ", metres, unit), drop);
  }
  function show() {
    measured = measure(lines);
    if (list.children.length !== lines.length) list.replaceChildren(...lines.map((_, at) => row(at)));
    [...list.children].forEach((each, at) => {
      const metres = each.querySelector("input"), value = lines[at].metres ? String(lines[at].metres) : "";
      each.querySelector("output").value = measured.texts[at];
      if (metres.defaultValue !== value || metres.getAttribute("aria-invalid") === "true") {
        metres.value = metres.defaultValue = value;
        metres.setAttribute("aria-invalid", false);
      } else if (document.activeElement !== metres) metres.value = value;
    });
    undo.disabled = !past.length;
    tell(lines.length ? words(measured, terms) : "");
    redraw();
  }
  const redraw = () => { for (const each of sheets) each.draw(lines, measured); };
  part("add-line").addEventListener("click", () => change(() => {
    const down = form.height * (0.5 + 0.09 * (((lines.length + 4) % 9) - 4));
    const across = [0.35, 0.65].map((share) => Math.round(share * form.width));
    lines.push({ first: inside([across[0], Math.round(down)]),
      second: inside([across[1], Math.round(down)]), metres: null });
  }));
  undo.addEventListener("click", back);
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.shiftKey || event.key.toLowerCase() !== "z") return;
    // What is being typed is undone by the field itself.
    if (event.target.matches("input[type=text]") && event.target.value !== event.target.defaultValue) return;
    event.preventDefault();
    back();
  }, { signal: life.signal });
  const things = Object.keys(terms.things).map((value) => made("option", { value }));
  section.append(made("datalist", { id: "things" }, ...things));
  section.hidden = false;
  return {
    redraw,
    on(parent, view) {
      sheets.push(sheet(parent, view, moves, form.width - 1));
      new ResizeObserver(redraw).observe(parent);
    },
    // What depth is multiplied by for metres, and the line that says so; factor 0 where none does.
    get metres() {
      const line = lines[measured.known];
      return line ? { factor: measured.factor, asked: [...line.first, ...line.second, line.metres].join() }
        : { factor: 0 };
    },
    told: (z) => (z ? `${Number((z * measured.factor).toPrecision(3))}${measured.metric ? " m" : " (no unit)"}`
      : "no depth"),
  };
}
