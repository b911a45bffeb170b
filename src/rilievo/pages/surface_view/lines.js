"use strict";
// The list of things that are measured: what was added, typed, removed and undone.

const MOST_STEPS = 100; // that can be undone
const BEGIN = { // places of a new thing, as shares of the photograph
  length: [[0.35, 0.5], [0.65, 0.5]], height: [[0.2, 0.4]], angle: [[0.3, 0.5], [0.7, 0.5]],
  box: [[0.35, 0.3], [0.65, 0.7]],
  area: [[0.62, 0.16], [0.87, 0.16], [0.87, 0.34], [0.62, 0.34]],
};

const UNITS = { mm: 0.001, cm: 0.01, dm: 0.1, m: 1, km: 1000, in: 0.0254, '"': 0.0254, "″": 0.0254, ft: 0.3048, "'": 0.3048, "′": 0.3048, yd: 0.9144 };

// Metres of a length with its unit, 5'11" too, as rilievo.schema.typed_values has it; NaN of anything else.
function metresOf(text) {
  const feet = /^(\d+)\s*(?:ft|['′])\s*(\d+(?:\.\d*)?)\s*(?:in|["″])?$/.exec(text);
  if (feet) return Number((feet[1] * UNITS.ft + feet[2] * UNITS.in).toFixed(12));
  const [, number, unit] = /^(.*?[\d.])\s*([a-z]+|["″'′])?$/.exec(text) ?? [];
  return number && UNITS[unit ?? "m"] ? Number((Number(number.replace(",", ".")) * UNITS[unit ?? "m"]).toFixed(12)) : NaN;
}

// Metres as people type them, or null of an empty text; of a rectangle both sides, or the name of a common one.
function typed(text, terms, isRectangle) {
  const name = text.trim().toLowerCase(), isLength = (metres) => metres > 0 && metres <= terms.most_metres;
  if (!name) return { metres: null };
  const found = `you entered '${text.slice(0, 40)}'.`;
  if (!isRectangle) {
    const metres = terms.things[name] ?? metresOf(name);
    if (isLength(metres)) return { metres };
    return { fault: `A known length is a positive number of metres, such as 0.46, or one of ${Object.keys(terms.things).join(", ")}, but ${found}` };
  }
  const [one, other, ...rest] = name.split(/\s*[x×*]\s*/), unit = /[\d.]\s*([a-z]+)$/;
  const sides = terms.rectangles[name] ?? [[one, other], [other, one]].map(([side, beside]) =>
    metresOf(unit.test(side) ? side : side + (unit.exec(beside ?? "")?.[1] ?? "")));
  if (!rest.length && sides.every(isLength)) return { metres: name in terms.rectangles ? { sides, name } : { sides } };
  return { fault: `A known rectangle has two sides, such as 90cm x 2.1m, or is one of ${Object.keys(terms.rectangles).join(", ")}, but ${found}` };
}

// What somebody typed, written again.
const sizes = (metres) => (typeof metres === "number" ? String(metres) : metres ? metres.name ?? metres.sides.join(" x ") : "");

function words(measured, terms) {
  if (measured.known >= 0) {
    // Where files are written when somebody asks for them, they are in these metres.
    return `The scale comes from ${NAMES[measured.source][0]} ${measured.known + 1}, ${terms.in_files ? "on this page and in files" : "but only on this page, not in files"}.`;
  }
  return measured.metric ? "Each range contains the true value in eight out of ten cases."
    : "The scale is not known. Enter the known length of a line, or add a line.";
}

// The part of the page to measure in. Sheets are added with `on`; `told` is how depth is told now, and
// `changed` hears what is measured whenever it is.
function measuring(depth, form, terms, changed) {
  const measure = ruler(depth, form, terms), sheets = [], section = part("measure");
  const list = part("lines"), undo = part("undo"), redo = part("redo"), saying = part("measure-words");
  let things = [], before = null, heard = () => {}, measured = measure(things), shape = "", past = [], future = [];
  // On a hundredth of a pixel, so that an address holds all of a place.
  const inside = ([u, v]) => [[u, form.width], [v, form.height]].map(([at, size]) => Math.round(100 * clamp(0, at, size - 1)) / 100);
  const moves = {
    busy: () => before !== null,
    begin() { before = JSON.stringify(things); },
    to(at, corner, place) { things[at].points[corner] = inside(place); show(); },
    by(at, corner, [right, down]) {
      const [u, v] = things[at].points[corner];
      moves.to(at, corner, [u + right, v + down]);
    },
    end() {
      if (before !== null && before !== JSON.stringify(things)) [past, future] = [[...past, before].slice(-MOST_STEPS), []];
      before = null;
      show();
    },
  };
  // Nothing else changes while a point is dragged: one step of undo is one change.
  function change(act) {
    if (moves.busy()) return;
    moves.begin();
    act();
    moves.end();
  }
  function step(from, to) {
    if (!from.length || moves.busy()) return;
    to.push(JSON.stringify(things));
    things = JSON.parse(from.pop());
    show();
  }
  // Screen readers tell it anew whenever it is written.
  function tell(text) { if (saying.textContent !== text) saying.textContent = text; }
  function button(words, label, act) {
    const found = made("button", { type: "button", textContent: words });
    found.setAttribute("aria-label", label);
    found.addEventListener("click", act);
    return found;
  }
  function known(at) {
    const isRectangle = things[at].what === "area";
    const metres = made("input", { type: "text", size: 10, autocomplete: "off", placeholder: isRectangle ? "a4 or 90cm x 2.1m" : "0.46 or a4" });
    metres.setAttribute("list", isRectangle ? "rectangles" : "things");
    metres.addEventListener("change", () => {
      const found = typed(metres.value, terms, isRectangle);
      metres.setAttribute("aria-invalid", Boolean(found.fault));
      if (found.fault) { tell(found.fault); return; }
      // A new value replaces the old one, whichever line it was of.
      change(() => things.forEach((thing, each) => {
        if (each === at || found.metres) thing.metres = each === at ? found.metres : null;
      }));
    });
    metres.setAttribute("aria-label", isRectangle ? `Known sides of the rectangle of area ${at + 1}` : `Known length of line ${at + 1} in metres`);
    return made("label", {}, "known", metres, isRectangle ? "" : "m");
  }
  function corners(at) {
    const { points } = things[at], [[u1, v1]] = points, [u2, v2] = points.at(-1);
    const more = button("More corners", `Add a corner to area ${at + 1}`, () =>
      change(() => { points.push([(u1 + u2) / 2, (v1 + v2) / 2]); things[at].metres = null; }));
    const fewer = button("Fewer", `Remove a corner from area ${at + 1}`, () => change(() => { points.pop(); things[at].metres = null; }));
    fewer.disabled = points.length < 4;
    return [...(points.length === 4 ? [known(at)] : []), more, fewer];
  }
  function row({ what }, at) {
    const reading = made("output", {});
    reading.setAttribute("aria-live", "off"); // the points tell it while they are moved
    const drop = button("✕", `Remove ${NAMES[what][0]} ${at + 1}`, () => {
      change(() => { things.splice(at, 1); });
      part("add-line").focus();
    });
    return made("li", {}, reading, ...(what === "length" ? [known(at)] : what === "area" ? corners(at) : []), drop);
  }
  function show() {
    measured = measure(things);
    const now = JSON.stringify(things.map(({ what, points }) => [what, points.length]));
    if (now !== shape) {
      shape = now;
      list.replaceChildren(...things.map(row));
    }
    [...list.children].forEach((each, at) => {
      const metres = each.querySelector("input"), value = sizes(things[at].metres);
      const { what } = things[at];
      const name = what === "height" ? "height above the floor" : what; // as Python says it
      each.querySelector("output").value = what === "length" ? measured.texts[at] : `${name}: ${measured.texts[at]}`;
      if (!metres) return;
      if (metres.defaultValue !== value || metres.getAttribute("aria-invalid") === "true") {
        metres.value = metres.defaultValue = value;
        metres.setAttribute("aria-invalid", false);
      } else if (document.activeElement !== metres) metres.value = value;
    });
    [undo.disabled, redo.disabled] = [!past.length, !future.length];
    tell(things.length ? words(measured, terms) : "");
    changed(measured);
    heard();
    redraw();
  }
  const redraw = () => { for (const each of sheets) each.draw(things, measured); };
  for (const [what, places] of Object.entries(BEGIN)) {
    part(`add-${NAMES[what][0]}`).addEventListener("click", () => change(() => {
      const down = 0.09 * (((things.length + 4) % 9) - 4); // not all on one another
      const points = places.map(([u, v]) => inside([u * form.width, (v + down) * form.height].map(Math.round)));
      things.push({ what, points, metres: null });
    }));
  }
  const back = () => step(past, future), forth = () => step(future, past);
  undo.addEventListener("click", back);
  redo.addEventListener("click", forth);
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    // What is being typed is undone by the field itself.
    if (event.target.matches("input[type=text]") && event.target.value !== event.target.defaultValue) return;
    event.preventDefault();
    if (event.shiftKey) forth();
    else back();
  }, { signal: life.signal });
  for (const id of ["things", "rectangles"]) {
    section.append(made("datalist", { id }, ...Object.keys(terms[id]).map((value) => made("option", { value }))));
  }
  section.hidden = false;
  return {
    redraw,
    on(parent, view) {
      sheets.push(sheet(parent, view, moves, form.width - 1));
      new ResizeObserver(redraw).observe(parent);
    },
    get things() { return things; },
    set things(next) {
      // An address holds the sides of a rectangle alone; those of a common thing may be either way round.
      for (const { metres } of next.filter((each) => each.metres?.sides)) {
        metres.name = Object.keys(terms.rectangles).find((name) => terms.rectangles[name].join() === metres.sides.join());
      }
      // A point that is being dragged is not there any more.
      [things, before, past, future] = [next, null, [], []];
      show();
    },
    whenChanged(act) { heard = act; },
    // What depth is multiplied by for metres, the line or rectangle that says so, and its option; factor 0 where none does.
    get metres() {
      const { points, metres } = things[measured.known] ?? {};
      if (!points) return { factor: 0 };
      const asked = [...points.flat(), metres.name ?? metres.sides?.join("x") ?? metres].join();
      return { factor: measured.factor, asked, option: metres.sides ? "known_rectangle" : "known_length" };
    },
    told: (z) => (z ? `${Number((z * measured.factor).toPrecision(3))}${measured.metric ? " m" : " (no unit)"}`
      : "no depth"),
  };
}
