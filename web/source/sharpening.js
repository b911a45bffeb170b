// A network's answer at the photograph's size, along the photograph's edges:
// rilievo.models.processing.sharpening and .enlarging.

import { agreed, calm, decide, sides, unexplained, windowed } from "./edges.js";
import { isDepth, positive, ruleOf } from "./preparation.js";
import { ANSWER_FILTERS, FILTERS, resizedField, resizedPicture, shrunkRoughly } from "./resample.js";

const LOW = 72_000, COARSE = 40_000, FINE = 400_000; // pixels
const LARGEST_FACTOR = 4, PASSES = 3, ENLARGED = 1.2, AFFINE_SPAN = 1.5, JUMP = 0.04;

function sizeWithin(height, width, most) {
  const factor = Math.min(1, Math.sqrt(most / (height * width)));
  return [height, width].map((side) => Math.max(1, Math.round(side * factor)));
}

// Size of the grid on which sides are searched.
function sizeOfSearch(height, width, fine) {
  const pixels = height * width, enlarged = Math.min(LARGEST_FACTOR, Math.trunc(Math.sqrt(LOW / pixels)));
  if (enlarged < 2) return sizeWithin(height, width, pixels <= LOW ? COARSE : LOW);
  return [Math.min(enlarged * height, fine[0]), Math.min(enlarged * width, fine[1])];
}

function percentiles(values, shares) {
  const sorted = values.slice().sort();
  return shares.map((share) => {
    const at = (share / 100) * (sorted.length - 1), low = Math.floor(at);
    return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
  });
}

// Numbers in which a step of 4 % is one, near being less: the logarithm of depth, for one.
function spaceOf(depth, valid, kind) {
  const [low, middle, high] = percentiles(depth.values.filter((_, at) => !valid || valid[at]), [2, 50, 98]);
  if (!(high > low)) return null;
  if (isDepth(kind)) {
    const shift = Math.log(middle);
    return { enter: (each) => Math.log(each) - shift, leave: (each) => Math.exp(each + shift) };
  }
  const scale = ((kind === "affine_inverse" ? -1 : 1) * AFFINE_SPAN) / (high - low);
  return { enter: (each) => (each - middle) * scale, leave: (each) => each / scale + middle };
}

// For every pixel of a line the one before it on a shorter line, never the last, and the next one's
// weight.
function taps(source, target) {
  const first = new Int32Array(target), share = new Float32Array(target);
  for (let each = 0; each < target; each++) {
    const at = Math.max(0, Math.min(source - 1, ((each + 0.5) * source) / target - 0.5));
    first[each] = Math.min(Math.trunc(at), source - 2);
    share[each] = at - first[each];
  }
  return { first, share };
}

// The same field with the means of their surroundings where it is not valid.
function filled(field, valid, height, width) {
  if (!valid) return field;
  let [values, seen] = [field, Float32Array.from(valid)];
  while (!seen.every(Boolean)) {
    const [known, before] = [seen, values], weight = windowed(known, height, width, "sum");
    const total = windowed(values.map((each, at) => (known[at] ? each : 0)), height, width, "sum");
    values = before.map((each, at) => (known[at] ? each : total[at] / Math.max(weight[at], 1)));
    seen = known.map((each, at) => (each || weight[at] > 0 ? 1 : 0));
  }
  return values;
}

// Depth at the photograph's size by its network's rule, and where there is any; what is not valid
// blends into nothing, unless the rule blends it.
function plainly(depth, valid, whole, kind, { space, filter, isBlended, nearest, farthest }, shift) {
  const [enter, leave] = { values: [(each) => each, (each) => each], inverse: [(each) => 1 / each, (each) => 1 / each],
    log: [(each) => Math.log(each - shift), (each) => Math.exp(each) + shift] }[space];
  const resized = (values, how = filter) => resizedField({ ...depth, values }, whole, null, ANSWER_FILTERS[how]);
  const limited = (values) => (farthest ? values.map((each) => Math.max(nearest, Math.min(farthest, each))) : values);
  const same = depth.height === whole[0] && depth.width === whole[1];
  const all = () => {
    if (same) return limited(depth.values);
    const large = resized(depth.values.map(enter));
    return limited((filter === "cubic" && isDepth(kind) ? positive(large, () => resized(depth.values, "linear")) : large).values.map(leave));
  };
  if (!valid) return { depth: all(), valid };
  const mean = filter === "cubic" ? "linear" : filter; // cubic weights of a part of the pixels may cancel
  const weight = resized(Float32Array.from(valid), mean).values, inside = Uint8Array.from(weight, (each) => (each > 0.5 ? 1 : 0));
  if (isBlended) {
    const values = all(), has = inside.map((each, at) => (each && Number.isFinite(values[at]) && (values[at] > 0 || !isDepth(kind)) ? 1 : 0));
    return { depth: values.map((each, at) => (has[at] ? each : 0)), valid: has };
  }
  const sums = resized(depth.values.map((each, at) => (valid[at] ? enter(each) : 0)), mean).values;
  return { depth: limited(sums.map((each, at) => (inside[at] ? leave(each / weight[at]) : 0))), valid: inside };
}

function colours({ height, width, values }) {
  return [0, 1, 2].map((channel) => {
    const field = new Float32Array(height * width);
    for (let at = 0; at < field.length; at++) field[at] = values[4 * at + channel] / 255;
    return field;
  });
}

// Gives pixels that at most one of eight neighbours is like the values of the median one.
function removeSpecks(values, height, width) {
  if (Math.min(height, width) < 3) return;
  const field = values[0], found = [];
  const places = [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((right) => down * width + right));
  for (let row = 1; row < height - 1; row++) {
    for (let at = row * width + 1, end = (row + 1) * width - 1; at < end; at++) {
      const value = field[at], up = Math.abs(value - field[at - width]) > JUMP;
      const low = Math.abs(value - field[at + width]) > JUMP;
      if (!up && !low) continue;
      const left = Math.abs(value - field[at - 1]) > JUMP, right = Math.abs(value - field[at + 1]) > JUMP;
      if (up + low + left + right < 3) continue;
      const around = places.map((each) => at + each);
      if (around.filter((each) => Math.abs(field[each] - value) <= JUMP).length > 2) continue;
      found.push([at, around.sort((one, other) => field[one] - field[other])[4]]);
    }
  }
  const taken = values.map((value) => found.map(([, from]) => value[from]));
  found.forEach(([at], each) => values.forEach((value, index) => { value[at] = taken[index][each]; }));
}

// The function that brings fields of the fine picture to the photograph's size: bilinear, but for
// the pixels between four of a step of `field`, which take the side that has more weight. In float32
// as in Python, where both sides may have the same weight.
function enlarger(field, ramp, [rows, columns], whole) {
  const [height, width] = whole, corners = [0, 1, columns, columns + 1], round = Math.fround;
  if (rows === height && columns === width) return (values) => values;
  const middle = new Float32Array(rows * columns), step = new Uint8Array(rows * columns);
  for (let row = 0; row < rows - 1; row++) {
    for (let at = row * columns, end = at + columns - 1; at < end; at++) {
      if (!corners.some((corner) => ramp[at + corner])) continue;
      const ends = corners.map((corner) => field[at + corner]), low = Math.min(...ends), high = Math.max(...ends);
      middle[at] = round(low + high) / 2;
      step[at] = high - low > JUMP ? 1 : 0;
    }
  }
  const down = taps(rows, height), across = taps(columns, width);
  return (values) => {
    const large = resizedField({ height: rows, width: columns, values }, whole).values, shares = new Float32Array(4);
    // The sum over the four corners, each with its share of a row.
    const weighted = (fall, [one, two, three, four]) => {
      const upper = round(one + two);
      return round(upper + round(fall * round(round(three + four) - upper)));
    };
    for (let row = 0; row < height; row++) {
      const fall = down.share[row];
      for (let column = 0; column < width; column++) {
        const at = down.first[row] * columns + across.first[column];
        if (!step[at]) continue;
        const slide = across.share[column];
        const own = (far) => {
          corners.forEach((corner, each) => {
            shares[each] = field[at + corner] > middle[at] === far ? (each % 2 ? slide : 1 - slide) : 0;
          });
          return weighted(fall, shares);
        };
        const far = own(true), all = far > 0.5 ? far : own(false);
        large[row * width + column] = weighted(fall, shares.map((share, each) => share * values[at + corners[each]])) / all;
      }
    }
    return large;
  };
}

// The values on the fine grid and how they are enlarged. `given` is a stack of fields at one size,
// of which the first decides; `ramps` a field that says where its slopes may be ramps, or null.
function sharp(given, size, photo, ramps) {
  const whole = [photo.height, photo.width], fine = sizeWithin(...whole, FINE);
  const small = shrunkRoughly(photo, fine), coarse = sizeOfSearch(...size, fine);
  const at = (fields, from, to) =>
    fields.map((values) => resizedField({ height: from[0], width: from[1], values }, to).values.slice());
  const [share] = ramps ? at([ramps], size, coarse) : [null];
  if (coarse[0] > size[0]) [given, size] = [at(given, size, coarse), coarse];
  const seen = colours(resizedPicture(small, coarse, FILTERS.box));
  const found = () => {
    const fields = sides(values, seen, ...coarse);
    if (share) fields[0].forEach((each, place) => { fields[0][place] = each * share[place]; });
    return fields;
  };
  let values = at(given, size, coarse), fields = found();
  if (size[0] * size[1] <= LOW) {
    const [gate] = at([fields[0]], coarse, size);
    given = [calm(given[0], gate, ...size), ...given.slice(1)];
    values = at(given, size, coarse);
  }
  for (let pass = 1; pass < PASSES; pass++) {
    decide(fields, seen, values);
    fields = found();
  }
  // A finer answer than the grid keeps its detail where there is no ramp.
  const same = coarse[0] === size[0] && coarse[1] === size[1];
  values = at(same ? values : given, size, fine);
  fields = at(fields, coarse, fine);
  decide(fields, colours(small), values);
  removeSpecks(values, ...fine);
  return { values, enlarge: enlarger(values[0], fields[0].map((each) => (each > 0 ? 1 : 0)), fine, whole) };
}

const masked = (chances) => Uint8Array.from(chances, (each) => (each > 0.5 ? 1 : 0));

// A network's answer at the photograph's size: { depth, valid, sky, normal }, where `valid` is null if
// all pixels are, `sky` the mask of what sees no surface, null if the network does not tell, and
// `normal(axis)` one field of the normals, not yet of unit length; null without.
export function atPhotographSize({ depth, valid: seen, normals, sky = null, steps = null, shift = 0 }, photo, camera, { kind, back }, isSharp) {
  const rule = ruleOf(back);
  const whole = [photo.height, photo.width], valid = seen?.every(Boolean) ? null : seen ?? null;
  const plain = {
    ...plainly(depth, valid, whole, kind, rule, shift),
    sky: sky && masked(resizedField(sky, whole).values),
    normal: normals && ((axis) => resizedField(normals[axis], whole, null, ANSWER_FILTERS[rule.filter]).values),
  };
  const pixels = depth.height * depth.width;
  if (!isSharp || rule.space === "inverse" || Math.min(depth.height, depth.width) < 8 || pixels > FINE) return plain;
  if (photo.height < ENLARGED * depth.height || photo.width < ENLARGED * depth.width) return plain;
  const space = spaceOf(depth, valid, kind);
  if (!space) return plain;
  const size = [depth.height, depth.width];
  const beside = (each) => (each.height === size[0] && each.width === size[1] ? each : resizedField(each, size)).values;
  const given = [filled(depth.values.map(space.enter), valid, ...size), ...(normals ?? []).map(beside), ...(sky ? [beside(sky)] : [])];
  const focal = [(camera.fy * size[0]) / photo.height, (camera.fx * size[1]) / photo.width];
  const ramps = normals && isDepth(kind) ? unexplained(given[0], given.slice(1, 4), focal, ...size) : null;
  const allowed = steps && agreed(beside(steps), sky && beside(sky), ...size);
  const { values, enlarge } = sharp(given, size, photo, allowed && ramps ? ramps.map((each, at) => each * allowed[at]) : ramps ?? allowed);
  return {
    depth: enlarge(values[0].map(space.leave)),
    valid: plain.valid,
    sky: sky && masked(enlarge(values[values.length - 1])),
    normal: normals && ((axis) => enlarge(values[1 + axis])),
  };
}
