// Borders of a photograph that show nothing: black bars, the white of a scanned page, thin frames.
// rilievo.geometry.borders tells why each number is what it is.

import { listOf, quantile } from "relief";

const SIDES = ["top", "right", "bottom", "left"];
const SAMPLES = 512, BLACK = 40, WHITE = 215, ALIKE = 14, SHARE = 0.985, BLURRED = 8, LEAVING = 0.6;
const WIDEST = 0.4, THICKEST = 0.015, FRAME_ALIKE = 3, CORNER = 0.015, LEAST_INSIDE = 32;
const BAR_EDGE = { levels: 24, before: LEAVING / 2 }, FRAME_EDGE = { levels: 8, before: 1 };
const NONE = { top: 0, right: 0, bottom: 0, left: 0 };

const any = (margins) => SIDES.some((side) => margins[side] > 0);

// The part of a picture that is no border, as { top, left, height, width }.
export const inside = ({ height, width }, margins) => ({ top: margins.top, left: margins.left,
  height: height - margins.top - margins.bottom, width: width - margins.left - margins.right });

// Pixels of a line from one side inwards, thinned out: `at(line, place)` is the first byte of one.
function linesOf(picture, side, box) {
  const upright = side === "top" || side === "bottom", turned = side === "bottom" || side === "right";
  const [count, length] = upright ? [box.height, box.width] : [box.width, box.height];
  const step = Math.max(1, Math.floor(length / SAMPLES)), many = Math.ceil(length / step);
  return { count, many, values: picture.values, at(line, place) {
    const depth = turned ? count - 1 - line : line, along = place * step;
    const [row, column] = upright ? [depth, along] : [along, depth];
    return 4 * ((box.top + row) * picture.width + box.left + column);
  } };
}

const colourOf = (lines, line) =>
  [0, 1, 2].map((channel) => Math.trunc(quantile(listOf(lines.many, (place) => lines.values[lines.at(line, place) + channel]), 0.5)));

// Share of the pixels of a line whose largest difference to a colour passes a test.
function share({ values, many, at }, line, colour, test) {
  let count = 0;
  for (let place = 0; place < many; place++) {
    const from = at(line, place);
    if (test(Math.max(...colour.map((level, channel) => Math.abs(values[from + channel] - level))))) count++;
  }
  return count / many;
}

// The picture's first line, a few past `first` at most; 0 without an edge.
function edge(lines, first, colour, step) {
  const start = Math.max(0, first - 2), blurred = Math.max(BLURRED, Math.ceil(0.006 * lines.count));
  const leaving = (line) => share(lines, line, colour, (miss) => miss > step.levels);
  for (let line = first; line < Math.min(lines.count, first + blurred); line++) {
    if (leaving(line) < LEAVING) continue;
    return leaving(Math.max(start, line - 2)) <= step.before ? line : 0;
  }
  return 0;
}

function bar(picture, side, white, box) {
  const lines = linesOf(picture, side, box), most = Math.floor(WIDEST * lines.count), colour = colourOf(lines, 0);
  if (white ? Math.min(...colour) < WHITE : Math.max(...colour) > BLACK) return 0;
  for (let line = 0; line <= most && line < lines.count; line++) {
    if (share(lines, line, colour, (miss) => miss <= ALIKE) >= SHARE) continue;
    return line > 0 ? edge(lines, line, colour, BAR_EDGE) : 0;
  }
  return 0;
}

// Whether the inside fills its corners where two borders meet.
function hasCorners(picture, margins) {
  const box = inside(picture, margins);
  const tall = Math.max(4, Math.floor(CORNER * box.height)), wide = Math.max(4, Math.floor(CORNER * box.width));
  for (const [vertical, row, top] of [[margins.top, 0, 0], [margins.bottom, picture.height - 1, box.height - tall]]) {
    for (const [horizontal, column, left] of [[margins.left, 0, 0], [margins.right, picture.width - 1, box.width - wide]]) {
      if (!vertical || !horizontal) continue;
      const from = 4 * (row * picture.width + column), colour = [...picture.values.subarray(from, from + 3)];
      const patch = { values: picture.values, many: tall * wide, at: (_, place) => 4 * ((box.top + Math.max(0, top)
        + Math.floor(place / wide)) * picture.width + box.left + Math.max(0, left) + (place % wide)) };
      if (share(patch, 0, colour, (miss) => miss > ALIKE >> 1) < LEAVING) return false;
    }
  }
  return true;
}

function bars(picture) {
  for (const white of [false, true]) {
    const found = { ...NONE };
    const look = (sides, box) => { for (const side of sides) found[side] = bar(picture, side, white, box); };
    look(["top", "bottom"], inside(picture, NONE));
    look(["left", "right"], inside(picture, { ...NONE, top: found.top, bottom: found.bottom }));
    // Beside a border, the lines above and below are partly border and leave too few inside.
    look(["top", "bottom"], inside(picture, { ...NONE, left: found.left, right: found.right }));
    if (SIDES.filter((side) => found[side]).length >= 2 && hasCorners(picture, found)) return found;
  }
  return NONE;
}

function frame(picture) {
  const found = { ...NONE };
  for (const side of SIDES) {
    const lines = linesOf(picture, side, inside(picture, NONE));
    const most = Math.max(4, Math.floor(THICKEST * lines.count));
    let count = 0;
    while (count <= most && share(lines, count, colourOf(lines, count), (miss) => miss <= FRAME_ALIKE) >= SHARE) count++;
    found[side] = count && count <= most ? edge(lines, count, colourOf(lines, count - 1), FRAME_EDGE) : 0;
    if (!found[side]) return NONE;
  }
  return found;
}

// Rows and columns that are border; null where it is not clear that there are any.
export function marginsOf(picture) {
  const first = bars(picture), found = any(first) ? first : frame(picture), box = inside(picture, found);
  return any(found) && Math.min(box.height, box.width) >= LEAST_INSIDE ? found : null;
}

export function cropped(picture, { top, left, height, width }) {
  const values = new Uint8ClampedArray(4 * height * width);
  for (let row = 0; row < height; row++) {
    const from = 4 * ((top + row) * picture.width + left);
    values.set(picture.values.subarray(from, from + 4 * width), 4 * row * width);
  }
  return { height, width, values };
}
