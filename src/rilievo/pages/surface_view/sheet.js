"use strict";
// Things to measure, drawn on the photograph and on the surface: their points are dragged or moved
// with the arrow keys, and what they measure stands on them.

const LABEL = 22, NARROW = 480; // pixels that a label is high, and of a picture that has no room for what they say
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function drawn(name, attributes, ...children) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children);
  return found;
}

const NAMES = { length: ["line", "End"], height: ["height", "Point"], area: ["area", "Corner"], angle: ["angle", "Point"],
  box: ["box", "Corner"] };

const strokes = () => ["under", "over"].map((name) => drawn("polygon", { class: name }));
const grip = (most) => drawn("g", { tabindex: 0, role: "slider", "aria-orientation": "horizontal",
  "aria-valuemin": 0, "aria-valuemax": most },
  drawn("circle", { class: "target", r: 20 }), drawn("circle", { class: "under", r: 8 }),
  drawn("circle", { class: "over", r: 8 }));

// A sheet of things over a picture. `place` gives where a place of the photograph at a depth lies on
// it, `find` the place of the photograph that is seen somewhere on it; either gives null for nowhere.
// `most` is the last column.
function sheet(parent, { place, find, still }, moves, most) {
  const svg = drawn("svg", { class: "lines" });
  let rows = [], shape = "";
  parent.append(svg);
  function point(at, corner) {
    const handle = grip(most);
    let held = null, last = null;
    // To where the pointer was last: once a frame, since finding the surface takes a while.
    function follow() {
      if (!held || !last) return;
      const box = svg.getBoundingClientRect(), [x, y] = last;
      last = null;
      const found = find(x - box.left - held.x, y - box.top - held.y);
      if (found) moves.to(at, corner, found);
    }
    handle.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault(); // neither turns the surface nor selects what is written
      if (moves.busy()) return;
      handle.focus();
      still?.();
      handle.setPointerCapture(event.pointerId);
      const box = svg.getBoundingClientRect(), [x, y] = handle.place;
      held = { id: event.pointerId, x: event.clientX - box.left - x, y: event.clientY - box.top - y };
      moves.begin();
    });
    handle.addEventListener("pointermove", (event) => {
      if (event.pointerId !== held?.id) return;
      if (!last) requestAnimationFrame(follow);
      last = [event.clientX, event.clientY];
    });
    for (const over of ["pointerup", "pointercancel", "lostpointercapture"]) {
      handle.addEventListener(over, (event) => {
        if (event.pointerId !== held?.id) return;
        follow();
        held = null;
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
      moves.by(at, corner, [step * arrow[0], step * arrow[1]]);
      moves.end();
    });
    return handle;
  }
  function row(thing, at) {
    const [under, over] = strokes(), text = drawn("text", {}), points = thing.points.map((_, corner) => point(at, corner));
    const leader = drawn("line", { class: "leader" });
    return { group: drawn("g", { class: thing.what }, under, over, leader, ...points, text), under, over, points, text, leader };
  }
  // The place nearest to where a label would stand that is inside the picture and free of other labels.
  function room([x, y], half, boxes, { width, height }) {
    const tries = [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6].flatMap((row) => [0, 1, -1].map((side) =>
      [clamp(half, x + side * (half + 12), width - half), clamp(LABEL, y + LABEL * row, height - 6)]));
    const isFree = ([u, v]) => boxes.every((box) => Math.abs(box.u - u) >= box.half + half || Math.abs(box.v - v) >= LABEL);
    const [u, v] = tries.filter(isFree).sort((one, other) => pixelsBetween(one, [x, y]) - pixelsBetween(other, [x, y]))[0] ?? tries[0];
    boxes.push({ u, v, half });
    return [u, v];
  }
  function draw(things, measured) {
    const now = JSON.stringify(things.map(({ what, points }) => [what, points.length]));
    if (now !== shape) {
      shape = now;
      rows = things.map(row);
      svg.replaceChildren(...rows.map((each) => each.group));
    }
    const box = svg.getBoundingClientRect(), isNarrow = things.length > 1 && box.width < NARROW;
    const placesOf = ({ points }, at) => points.map((each, corner) => place(each, measured.depths[at][corner]));
    // Labels keep off the points; on a small picture they are numbers, whose values the list has.
    const boxes = things.flatMap(placesOf).filter(Boolean).map(([u, v]) => ({ u, v: v + 6, half: 8 }));
    rows.forEach(({ group, under, over, points, text, leader }, at) => {
      const { what, points: seen } = things[at], foot = measured.feet[at], [noun, name] = NAMES[what];
      const places = placesOf(things[at], at);
      group.classList.toggle("known", at === measured.known);
      points.forEach((handle, corner) => {
        const [u, v] = seen[corner], there = places[corner], letter = String.fromCharCode(65 + corner);
        handle.style.display = there ? "" : "none"; // behind the camera
        if (!there) return;
        handle.place = there;
        handle.setAttribute("transform", `translate(${there.join()})`);
        handle.setAttribute("aria-label", `${name} ${letter} of ${noun} ${at + 1}`);
        handle.setAttribute("aria-valuenow", Math.round(u));
        handle.setAttribute("aria-valuetext", `column ${Math.round(u)}, row ${Math.round(v)}: ${measured.texts[at]}`);
      });
      const other = (one, two) => place([seen[one][0], seen[two][1]], measured.depths[at][0]);
      const path = foot ? [...places, place(foot.place, foot.z)] : what === "box" ? [places[0], other(1, 0), places[1], other(0, 1)] : places, whole = path.every(Boolean);
      for (const each of [under, over, text, leader]) each.style.display = whole ? "" : "none";
      if (!whole) return;
      for (const each of [under, over]) each.setAttribute("points", path.map((each) => each.join()).join(" "));
      // Above the middle, inside the picture, and not on another one; a line leads to what it is of.
      const [x, y] = [0, 1].map((axis) => path.reduce((sum, each) => sum + each[axis], 0) / path.length);
      const said = what === "box" ? measured.texts[at].split(",")[0] : measured.texts[at]; // the list has its sizes
      text.textContent = isNarrow ? String(at + 1) : things.length > 1 ? `${at + 1}: ${said}` : said;
      const lifted = y - (path.length === 1 ? 16 : 12), [u, v] = room([x, lifted], 4.2 * text.textContent.length, boxes, box);
      text.setAttribute("x", u);
      text.setAttribute("y", v);
      leader.style.display = Math.hypot(u - x, v - lifted) > LABEL ? "" : "none";
      for (const [name, value] of Object.entries({ x1: x, y1: y, x2: u, y2: v > y ? v - LABEL + 6 : v + 3 })) leader.setAttribute(name, value);
    });
  }
  return { draw };
}
