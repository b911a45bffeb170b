"use strict";
// The list of things that are measured: what was added, typed, removed and undone.

const MOST_STEPS = 100; // that can be undone
const BEGIN = { // places of a new thing, as shares of the photograph
  length: [[0.35, 0.5], [0.65, 0.5]], height: [[0.2, 0.4]], angle: [[0.3, 0.5], [0.7, 0.5]],
  area: [[0.62, 0.16], [0.87, 0.16], [0.87, 0.34], [0.62, 0.34]],
};

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
    return `Metres from line ${measured.known + 1}, ${terms.in_files ? "here and in files" : "on this page; files keep their own numbers"}.`;
  }
  return measured.metric ? "Eight in ten true values lie within such a range."
    : "Metres are not known: type the length of a line that you know, or add one.";
}

// The part of the page to measure in. Sheets are added with `on`; `told` is how depth is told now, and
// `changed` hears what is measured whenever it is.
function measuring(depth, form, terms, changed) {
  const measure = ruler(depth, form, terms), sheets = [], section = part("measure");
  const list = part("lines"), undo = part("undo"), redo = part("redo"), saying = part("measure-words");
  let things = [], before = null, heard = () => {}, measured = measure(things), shape = "", past = [], future = [];
  // On a hundredth of a pixel, so that an address holds all of a place.
  const inside = ([u, v]) => [[u, form.width], [v, form.height]].map(([at, size]) => Math.round(100 * Math.max(0, Math.min(size - 1, at))) / 100);
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
    const metres = made("input", { type: "text", inputMode: "decimal", size: 10, autocomplete: "off", placeholder: "0.46 or a4" });
    metres.setAttribute("list", "things");
    metres.addEventListener("change", () => {
      const found = typed(metres.value, terms);
      metres.setAttribute("aria-invalid", Boolean(found.fault));
      if (found.fault) { tell(found.fault); return; }
      // A new value replaces the old one, whichever line it was of.
      change(() => things.forEach((thing, each) => {
        if (each === at || found.metres) thing.metres = each === at ? found.metres : null;
      }));
    });
    metres.setAttribute("aria-label", `Known length of line ${at + 1} in metres`);
    return made("label", {}, "known", metres, "m");
  }
  function corners(at) {
    const { points } = things[at], [[u1, v1]] = points, [u2, v2] = points.at(-1);
    const more = button("More corners", `One more corner of area ${at + 1}`, () =>
      change(() => { points.push([(u1 + u2) / 2, (v1 + v2) / 2]); }));
    const fewer = button("Fewer", `One corner less of area ${at + 1}`, () => change(() => { points.pop(); }));
    fewer.disabled = points.length < 4;
    return [more, fewer];
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
      const metres = each.querySelector("input"), value = things[at].metres ? String(things[at].metres) : "";
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
  const usual = Object.keys(terms.things).map((value) => made("option", { value }));
  section.append(made("datalist", { id: "things" }, ...usual));
  section.hidden = false;
  return {
    redraw,
    on(parent, view) {
      sheets.push(sheet(parent, view, moves, form.width - 1));
      new ResizeObserver(redraw).observe(parent);
    },
    get things() { return things; },
    set things(next) {
      [things, past, future] = [next, [], []];
      show();
    },
    whenChanged(act) { heard = act; },
    // What depth is multiplied by for metres, and the line that says so; factor 0 where none does.
    get metres() {
      const line = things[measured.known];
      return line ? { factor: measured.factor, asked: [...line.points.flat(), line.metres].join() } : { factor: 0 };
    },
    told: (z) => (z ? `${Number((z * measured.factor).toPrecision(3))}${measured.metric ? " m" : " (no unit)"}`
      : "no depth"),
  };
}
