"use strict";
// What somebody did with a result, as a short text for the fragment of its address: things that are
// measured, known lengths, the view, the picture that is chosen. It may come from anybody, so what is
// read has bounds, and is numbers alone; a part that is anything else is left out.

const MOST_TEXT = 4000, MOST_THINGS = 40, MOST_CORNERS = 24, KINDS_OF = { l: "length", h: "height", a: "area", g: "angle", b: "box" };
const POINTS = { length: [2, 2], height: [1, 1], angle: [2, 2], box: [2, 2], area: [3, MOST_CORNERS] };

// Numbers with commas between, as many as allowed; null where one is none.
function numbersIn(text, fewest, most) {
  const found = text.split(",");
  if (found.length < fewest || found.length > most || !found.every((each) => /^-?\d{1,6}(\.\d{1,5})?$/.test(each))) return null;
  return found.map(Number);
}

function thingIn(text, { width, height }, most) {
  const what = KINDS_OF[text[0]], [places, known, ...rest] = text.slice(1).split("~");
  const isRectangle = what === "area";
  if (!what || rest.length || (known !== undefined && !isRectangle && what !== "length")) return null;
  const [fewest, largest] = POINTS[what], numbers = numbersIn(places, 2 * fewest, 2 * largest), count = isRectangle ? 2 : 1;
  const sides = known === undefined ? [] : numbersIn(known, count, count);
  if (!numbers || numbers.length % 2 || !sides?.every((each) => each > 0 && each <= most)) return null;
  if (isRectangle && sides.length && numbers.length !== 8) return null;
  const metres = !sides.length ? null : isRectangle ? { sides } : sides[0];
  const points = listOf(numbers.length / 2, (at) => [numbers[2 * at], numbers[2 * at + 1]]);
  return points.every(([u, v]) => u >= 0 && v >= 0 && u <= width - 1 && v <= height - 1) ? { what, points, metres } : null;
}

// { things, view, look, tab, cut } of a text; what is not told is null. Of known lengths the first counts.
function marksIn(text, form, most) {
  const parts = text.length > MOST_TEXT ? [] : text.replace(/^#/, "").split("&").map((each) => each.split("="));
  const told = Object.fromEntries(parts.filter((each) => each.length === 2 && /^[mvotc]$/.test(each[0])));
  const things = told.m === undefined ? null
    : told.m.split(";").slice(0, MOST_THINGS).map((each) => thingIn(each, form, most)).filter(Boolean);
  things?.filter(({ metres }) => metres).slice(1).forEach((each) => { each.metres = null; });
  const one = (name, largest) => {
    const [found] = numbersIn(told[name] ?? "", 1, 1) ?? [];
    return found >= 0 && found <= largest ? found : null;
  };
  const view = numbersIn(told.v ?? "", 7, 7);
  return { things, view: view?.every((each) => Math.abs(each) <= 100) ? view : null,
    look: /^[012][01][01]$/.test(told.o ?? "") ? [...told.o].map(Number) : null, tab: one("t", 9), cut: one("c", 100) };
}

const short = (number, digits) => String(Number(number.toFixed(digits)));

// The text of marks, without what is as it is at first.
function textOf({ things, view, look, tab, cut }) {
  const letter = (what) => Object.keys(KINDS_OF).find((each) => KINDS_OF[each] === what);
  const thing = ({ what, points, metres }) =>
    letter(what) + points.flat().map((each) => short(each, 2)).join() + (metres ? `~${(metres.sides ?? [metres]).map((each) => short(each, 5)).join()}` : "");
  const told = { m: things.slice(0, MOST_THINGS).map(thing).join(";"), v: (view ?? []).map((each) => short(each, 5)).join(),
    o: look?.some(Boolean) ? look.join("") : "", t: tab || "", c: cut === 50 ? "" : short(cut, 1) };
  return Object.entries(told).filter(([, each]) => each !== "").map((each) => each.join("=")).join("&");
}

// Keeps marks of a stage: `text` are those of the beginning, and `keep` hears them when they changed
// and nothing moves any more.
function keeping({ stage, rule, shown, form, most }, text, keep) {
  let last = text, handed = text, waiting = 0;
  function load(next) {
    const { things, view, look, tab, cut } = marksIn(next, form, most);
    rule.things = things ?? [];
    if (look) shown?.setLook(look);
    if (view) shown?.setPose(view);
    stage.choose(stage.titles()[tab ?? 0] ?? stage.titles()[0] ?? "");
    stage.turnTo(cut === null && Boolean(shown), cut ?? 50);
    [last, handed] = [next, next];
  }
  const now = () => textOf({ things: rule.things, view: shown?.pose ?? null, look: shown?.looks ?? null,
    tab: stage.tab, cut: Number(stage.line.value) });
  function changed() {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const next = now();
      if (next === last) return;
      [last, handed] = [next, next];
      keep(next);
    }, 300);
  }
  // What the visitor chose, a moment ago too, before `keep` heard of it.
  function chosen() {
    const next = now();
    return next === last ? handed : next;
  }
  if (text) load(text);
  rule.whenChanged(changed);
  shown?.whenRested(changed);
  stage.whenChanged(changed);
  // Stops a surface that sways, where it is; that is not what the visitor chose.
  function settle() {
    clearTimeout(waiting);
    handed = chosen();
    shown?.still();
    last = now();
  }
  life.signal.addEventListener("abort", () => clearTimeout(waiting));
  return { load, now, chosen, settle };
}

// Writes marks into the address of the page, where the browser allows that.
function intoAddress(text) {
  try {
    history.replaceState(history.state, "", location.pathname + location.search + (text && `#${text}`));
  } catch {
    // a page inside another one may have no address of its own
  }
}
