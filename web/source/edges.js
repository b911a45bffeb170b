// Ramps of a field turned into steps at the edges of a photograph: rilievo.models.processing.edges.
//
// A stack is { height, width, fields } of float32 arrays of one size.

const REACH = 5, STEP = 0.02, NOISE = 0.012, NEAR = 0.4, MOST_PROOF = 2, PRIOR = 2, HARDNESS = 2, TINY = 1e-6;
const [ALIKE, UNLIKE] = [15, 30].map((degrees) => Math.cos((degrees * Math.PI) / 180));

const clip = (value, low, high) => (value < low ? low : value > high ? high : value);

// Of a line whose ends are repeated `reach` times: the sum, the least or the largest of the
// 2 reach + 1 numbers from each place on. The line is used up.
const ALONG = {
  sum(line, count, reach, to, start, pitch) {
    let sum = 0;
    for (let each = 0; each < 2 * reach; each++) sum += line[each];
    for (let each = 0; each < count; each++) {
      sum += line[each + 2 * reach];
      to[start + pitch * each] = sum;
      sum -= line[each];
    }
  },
  least(line, count, reach, to, start, pitch) {
    const whole = 2 * reach + 1;
    let size = 1;
    for (; 2 * size <= whole; size *= 2) {
      for (let each = 0; each + size < line.length; each++) {
        if (line[each + size] < line[each]) line[each] = line[each + size];
      }
    }
    const rest = whole - size;
    for (let each = 0; each < count; each++) {
      to[start + pitch * each] = line[each + rest] < line[each] ? line[each + rest] : line[each];
    }
  },
  most(line, count, reach, to, start, pitch) {
    for (let each = 0; each < line.length; each++) line[each] = -line[each];
    ALONG.least(line, count, reach, to, start, pitch);
    for (let each = 0; each < count; each++) to[start + pitch * each] = -to[start + pitch * each];
  },
};

// Rows worked on by `along`, written as columns, so that a second time gives the columns as rows.
function turn(field, height, width, along, reach, result) {
  const line = new Float64Array(width + 2 * reach);
  for (let row = 0; row < height; row++) {
    const start = row * width;
    line.fill(field[start], 0, reach);
    for (let column = 0; column < width; column++) line[reach + column] = field[start + column];
    line.fill(field[start + width - 1], reach + width);
    along(line, width, reach, result, row, height);
  }
}

let between = new Float64Array(0); // used again, since all of this is done many times

// Least, largest or sum ("least", "most", "sum") of the pixels at most `reach` away.
export function windowed(field, height, width, join, reach = REACH) {
  if (between.length < field.length) between = new Float64Array(field.length);
  const result = new Float32Array(field.length);
  turn(field, height, width, ALONG[join], reach, between);
  turn(between, width, height, ALONG[join], reach, result);
  return result;
}

// Mean and variance of the colours, and mean values, of the pixels of small share.
function side(share, values, colours, power, height, width) {
  const count = share.length, weight = new Float32Array(count), product = new Float32Array(count);
  for (let at = 0; at < count; at++) weight[at] = clip((NEAR - share[at]) / (NEAR - 0.05), 0, 1);
  const total = windowed(weight, height, width, "sum");
  // Where no pixel is on this side, values stay as they are.
  const means = (of, left) => {
    for (let at = 0; at < count; at++) product[at] = weight[at] * of[at];
    const sums = windowed(product, height, width, "sum");
    for (let at = 0; at < count; at++) sums[at] = (sums[at] + left * of[at]) / (total[at] + TINY);
    return sums;
  };
  const mean = colours.map((colour) => means(colour, 0)), spread = means(power, 0);
  for (let at = 0; at < count; at++) {
    const square = mean[0][at] ** 2 + mean[1][at] ** 2 + mean[2][at] ** 2;
    spread[at] = Math.max(spread[at] - square, 0) / 3;
  }
  return { spread, mean, kept: values.map((value) => means(value, TINY)) };
}

// The near and the far side of every ramp, as smooth fields for `decide`: how much of a ramp there
// is, the log-odds of the far side that the field gives, and of the colours an offset and three
// weights, then the values of the near and of the far side. `values` are fields of which the first
// decides, near being less; `colours` three fields in 0..1.
export function sides(values, colours, height, width) {
  const field = values[0], count = field.length, fresh = () => new Float32Array(count);
  const power = fresh(), steep = fresh(), share = fresh(), rest = fresh();
  const low = windowed(field, height, width, "least"), high = windowed(field, height, width, "most");
  const widest = windowed(high, height, width, "most"), lowest = windowed(low, height, width, "least");
  for (let at = 0; at < count; at++) {
    const tall = high[at] - low[at];
    power[at] = colours[0][at] ** 2 + colours[1][at] ** 2 + colours[2][at] ** 2;
    // A slope is twice as high in a window twice as wide, a step is not.
    steep[at] = clip((tall - (widest[at] - lowest[at]) / 2) / STEP - 1, 0, 1);
    share[at] = (field[at] - low[at]) / Math.max(tall, TINY);
    rest[at] = 1 - share[at];
  }
  const gate = windowed(steep, height, width, "sum", 2);
  const near = side(share, values, colours, power, height, width);
  const far = side(rest, values, colours, power, height, width);
  const belief = fresh(), offset = fresh(), weights = [0, 1, 2].map(fresh);
  for (let at = 0; at < count; at++) {
    const variance = (near.spread[at] + far.spread[at]) / 2 + NOISE;
    let told = 0;
    for (let colour = 0; colour < 3; colour++) {
      const one = near.mean[colour][at], other = far.mean[colour][at], apart = other - one;
      weights[colour][at] = apart / variance;
      offset[at] -= (weights[colour][at] * (other + one)) / 2;
      told += weights[colour][at] * apart;
    }
    belief[at] = PRIOR * (2 * share[at] - 1) - (far.kept[0][at] - near.kept[0][at]);
    // Colours that hardly differ tell nothing, whatever their noise says.
    gate[at] *= clip(told, 0, 1) / 25;
  }
  return [gate, belief, offset, ...weights, ...near.kept, ...far.kept];
}

// Share of the changes of the logarithm of depth within the reach that the normals, three fields of
// the same size, do not explain: 1 for the ramp of an edge, 0 for ground that recedes. `focal` is
// that down and across.
export function unexplained(field, normals, focal, height, width) {
  const slope = (at, place, length, pitch) => (length === 1 ? 0 : place === 0 ? field[at + pitch] - field[at]
    : place === length - 1 ? field[at] - field[at - pitch] : (field[at + pitch] - field[at - pitch]) / 2);
  const change = new Float32Array(field.length), strange = new Float32Array(field.length);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      const down = slope(at, row, height, width), across = slope(at, column, width, 1);
      // 1/z of a plane is linear in the image, and its slopes are the normal's x and y.
      const own = [across * focal[1], down * focal[0], -1 - across * (column - (width - 1) / 2) - down * (row - (height - 1) / 2)];
      let product = 0, one = 0, other = 0;
      for (let axis = 0; axis < 3; axis++) {
        product += own[axis] * normals[axis][at];
        one += own[axis] ** 2;
        other += normals[axis][at] ** 2;
      }
      change[at] = Math.hypot(down, across);
      strange[at] = change[at] * clip((ALIKE - product / Math.max(Math.sqrt(one * other), TINY)) / (ALIKE - UNLIKE), 0, 1);
    }
  }
  const whole = windowed(change, height, width, "sum"), part = windowed(strange, height, width, "sum");
  return part.map((each, at) => clip((2 * each) / (whole[at] + TINY) - 0.5, 0, 1));
}

const NO_STEP = 0.05, STEP_SURE = 0.12, BESIDE = 1;

// Share of ramps to which a network's own chances of a step agree; the border of the sky is one.
export function agreed(steps, sky, height, width) {
  let given = steps;
  if (sky) {
    const most = windowed(sky, height, width, "most", 1), least = windowed(sky, height, width, "least", 1);
    given = steps.map((each, at) => Math.max(each, most[at] - least[at]));
  }
  return windowed(given, height, width, "most", BESIDE).map((each) => clip((each - NO_STEP) / (STEP_SURE - NO_STEP), 0, 1));
}

// Every pixel of a ramp on one of its sides, written into `values`; `fields` are those of `sides`.
export function decide(fields, colours, values) {
  const [gate, belief, offset] = fields, count = values.length;
  for (let at = 0; at < gate.length; at++) {
    if (!gate[at]) continue;
    let proof = offset[at];
    for (let colour = 0; colour < 3; colour++) proof += fields[3 + colour][at] * colours[colour][at];
    const odds = clip(proof, -MOST_PROOF, MOST_PROOF) + belief[at];
    const share = clip(HARDNESS * odds + 0.5, 0, 1);
    for (let each = 0; each < count; each++) {
      const near = fields[6 + each][at], far = fields[6 + count + each][at], value = values[each][at];
      values[each][at] = value + gate[at] * (near + share * (far - near) - value);
    }
  }
}

// The field without ripples of two and three pixels where there is no ramp.
export function calm(field, gate, height, width) {
  let smooth = field;
  for (let round = 0; round < 2; round++) smooth = binomial(smooth, height, width);
  const near = windowed(gate, height, width, "sum", 1);
  return field.map((each, at) => smooth[at] + clip((near[at] * 2) / 9, 0, 1) * (each - smooth[at]));
}

function binomial(field, height, width) {
  const line = (from, at, before, after) => (from[before] + from[after]) / 4 + from[at] / 2;
  const down = field.map((_, at) =>
    line(field, at, at < width ? at : at - width, at >= (height - 1) * width ? at : at + width));
  return down.map((_, at) =>
    line(down, at, at % width ? at - 1 : at, at % width === width - 1 ? at : at + 1));
}
