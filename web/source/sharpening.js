// A network's answer at the photograph's size, along the photograph's edges:
// rilievo.models.sharpening and .enlarging.

import { calm, decide, sides, unexplained, windowed } from "./edges.js";
import { isDepth } from "./preparation.js";
import { FILTERS, resizedField, resizedPicture, shrunk } from "./resample.js";

const COARSE = 72_000, FINE = 400_000; // pixels
const PASSES = 3, ENLARGED = 1.2, AFFINE_SPAN = 1.5, JUMP = 0.04;

function sizeWithin(height, width, most) {
  const factor = Math.min(1, Math.sqrt(most / (height * width)));
  return [height, width].map((side) => Math.max(1, Math.round(side * factor)));
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

// For every pixel of a line the two of a shorter one around it, and the second's weight.
function taps(source, target) {
  const first = new Int32Array(target), second = new Int32Array(target), share = new Float32Array(target);
  for (let each = 0; each < target; each++) {
    const at = Math.max(0, Math.min(source - 1, ((each + 0.5) * source) / target - 0.5));
    first[each] = Math.min(Math.trunc(at), Math.max(source - 2, 0));
    second[each] = Math.min(first[each] + 1, source - 1);
    share[each] = at - first[each];
  }
  return { first, second, share };
}

// Calls `act(place, corners, weights)` for the pixels of a fine picture with a chosen one among
// their four neighbours on a coarse one; the two arrays are used again for the next.
function eachPlace(chosen, [rows, columns], [height, width], act) {
  const vertical = taps(rows, height), horizontal = taps(columns, width);
  const corners = new Int32Array(4), weights = new Float32Array(4), line = new Uint8Array(columns);
  let last = -1;
  for (let row = 0; row < height; row++) {
    const up = vertical.first[row] * columns, low = vertical.second[row] * columns, fall = vertical.share[row];
    if (up !== last) {
      for (let column = 0; column < columns; column++) line[column] = chosen[up + column] | chosen[low + column];
      last = up;
    }
    for (let column = 0; column < width; column++) {
      const left = horizontal.first[column], right = horizontal.second[column];
      if (!(line[left] | line[right])) continue;
      const slide = horizontal.share[column];
      corners[0] = up + left;
      corners[1] = up + right;
      corners[2] = low + left;
      corners[3] = low + right;
      weights[0] = (1 - fall) * (1 - slide);
      weights[1] = (1 - fall) * slide;
      weights[2] = fall * (1 - slide);
      weights[3] = fall * slide;
      act(row * width + column, corners, weights);
    }
  }
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

// Depth at the photograph's size, and where there is any; what is not valid blends into nothing.
function plainly(depth, valid, whole) {
  const resized = (values) => resizedField({ ...depth, values }, whole).values;
  if (!valid) return { depth: resized(depth.values), valid };
  const weight = resized(Float32Array.from(valid)), sums = resized(depth.values.map((each, at) => (valid[at] ? each : 0)));
  const inside = Uint8Array.from(weight, (each) => (each > 0.5 ? 1 : 0));
  return { depth: sums.map((each, at) => (inside[at] ? each / weight[at] : 0)), valid: inside };
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
// the pixels at steps of `field`, which take the side that has more weight.
function enlarger(field, ramp, fine, whole) {
  if (fine[0] === whole[0] && fine[1] === whole[1]) return (values) => values;
  const low = windowed(field, ...fine, "least", 1), high = windowed(field, ...fine, "most", 1);
  const step = ramp.map((each, at) => (each && high[at] - low[at] > JUMP ? 1 : 0));
  return (values) => {
    const large = resizedField({ height: fine[0], width: fine[1], values }, whole).values;
    eachPlace(step, fine, whole, (place, corners, weights) => {
      let least = Infinity, most = -Infinity, all = 0, far = 0;
      for (const corner of corners) {
        least = Math.min(least, field[corner]);
        most = Math.max(most, field[corner]);
      }
      const middle = Math.fround(Math.fround(least + most) / 2);
      for (let each = 0; each < 4; each++) if (field[corners[each]] > middle) far += weights[each];
      let sum = 0;
      for (let each = 0; each < 4; each++) {
        if (field[corners[each]] > middle !== far > 0.5) continue;
        sum += weights[each] * values[corners[each]];
        all += weights[each];
      }
      large[place] = sum / all;
    });
    return large;
  };
}

// The values on the fine grid and how they are enlarged. `given` is a stack of fields at one size,
// of which the first decides; `ramps` a field that says where its slopes may be ramps, or null.
function sharp(given, [height, width], photo, ramps) {
  const whole = [photo.height, photo.width], fine = sizeWithin(...whole, FINE);
  const small = shrunk(photo, fine), coarse = sizeWithin(height, width, COARSE);
  const seen = colours(resizedPicture(small, coarse, FILTERS.box));
  const at = (fields, from, to) =>
    fields.map((values) => resizedField({ height: from[0], width: from[1], values }, to).values.slice());
  const [gate] = ramps ? at([ramps], [height, width], coarse) : [null];
  const found = () => {
    const fields = sides(values, seen, ...coarse);
    if (gate) fields[0].forEach((each, place) => { fields[0][place] = each * gate[place]; });
    return fields;
  };
  let values = at(given, [height, width], coarse), fields = found();
  const same = coarse[0] === height && coarse[1] === width;
  if (same) values[0] = calm(values[0], fields[0], ...coarse);
  for (let pass = 1; pass < PASSES; pass++) {
    for (let each = 0; each < values[0].length; each++) decide(fields, each, seen, each, values, each);
    fields = found();
  }
  // A finer answer than the grid keeps its detail where there is no ramp.
  values = at(same ? values : given, same ? coarse : [height, width], fine);
  const finer = colours(small), ramp = new Uint8Array(fine[0] * fine[1]);
  const here = fields.map(() => new Float32Array(1)), steep = fields[0].map((each) => (each > 0 ? 1 : 0));
  eachPlace(Uint8Array.from(steep), coarse, fine, (place, corners, weights) => {
    ramp[place] = 1;
    for (let field = 0; field < fields.length; field++) {
      let sum = 0;
      for (let each = 0; each < 4; each++) sum += fields[field][corners[each]] * weights[each];
      here[field][0] = sum;
    }
    decide(here, 0, finer, place, values, place);
  });
  removeSpecks(values, ...fine);
  return { values, fine, enlarge: enlarger(values[0], ramp, fine, whole) };
}

// A network's answer at the photograph's size: { depth, valid, normal }, where `valid` is null if all
// pixels are, and `normal(axis)` one field of the normals, not yet of unit length; null without.
export function atPhotographSize({ depth, valid: seen, normals }, photo, camera, kind, isSharp) {
  const whole = [photo.height, photo.width], valid = seen?.every(Boolean) ? null : seen ?? null;
  const plain = {
    ...plainly(depth, valid, whole),
    normal: normals && ((axis) => resizedField(normals[axis], whole).values),
  };
  const pixels = depth.height * depth.width;
  if (!isSharp || Math.min(depth.height, depth.width) < 8 || pixels > FINE) return plain;
  if (photo.height < ENLARGED * depth.height || photo.width < ENLARGED * depth.width) return plain;
  const space = spaceOf(depth, valid, kind);
  if (!space) return plain;
  const given = [filled(depth.values.map(space.enter), valid, depth.height, depth.width), ...(normals ?? []).map((each) => {
    const same = each.height === depth.height && each.width === depth.width;
    return (same ? each : resizedField(each, [depth.height, depth.width])).values;
  })];
  const size = [depth.height, depth.width], focal = [(camera.fy * size[0]) / photo.height, (camera.fx * size[1]) / photo.width];
  const ramps = normals && isDepth(kind) ? unexplained(given[0], given.slice(1), focal, ...size) : null;
  const { values, enlarge } = sharp(given, size, photo, ramps);
  return {
    depth: enlarge(values[0]).map(space.leave),
    valid: plain.valid,
    normal: normals && ((axis) => enlarge(values[1 + axis])),
  };
}
