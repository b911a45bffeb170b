"use strict";
// Lengths in the photograph with the range to expect, as rilievo.measure.length has them, from the
// lattice of the surface.

function quantile(numbers, share) {
  const sorted = [...numbers].sort((one, other) => one - other), at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)], high = sorted[Math.ceil(at)];
  return low + (at - Math.floor(at)) * (high - low);
}

// Values at 0 and 1 of the line with (nearly) the least sum of absolute misses.
function straight(t, y) {
  const least = 1e-6 * Math.max(...y.map(Math.abs), 1e-300);
  let weight = t.map(() => 1), slope = 0, offset = 0;
  for (let round = 0; round < 12; round++) {
    const sum = (of) => weight.reduce((all, each, at) => all + each * of(at), 0);
    const total = sum(() => 1), middle = sum((at) => t[at]) / total, level = sum((at) => y[at]) / total;
    slope = sum((at) => (t[at] - middle) * (y[at] - level)) / sum((at) => (t[at] - middle) ** 2);
    offset = level - slope * middle;
    weight = t.map((each, at) => 1 / Math.max(Math.abs(y[at] - offset - slope * each), least));
  }
  return [offset, offset + slope];
}

// Depth at places (column, row) of the photograph [px], as rilievo.calibration.readings has it.
function readings(depth, form, terms) {
  const { rows, columns, step } = form;
  const across = (u) => (u - form.first_column) / step, down = (v) => (v - form.first_row) / step;
  const held = (at, last) => Math.max(0, Math.min(last, at));
  // The median about a point, 0 where there is none.
  function near([u, v]) {
    const x = held(Math.round(across(u)), columns - 1), y = held(Math.round(down(v)), rows - 1);
    if (!depth[y * columns + x]) return 0;
    const reach = Math.min(Math.floor(terms.window_radius / step), x, y, columns - 1 - x, rows - 1 - y);
    const found = [];
    for (let row = y - reach; row <= y + reach; row++) {
      for (let column = x - reach; column <= x + reach; column++) found.push(depth[row * columns + column]);
    }
    return quantile(found.filter((z) => z), 0.5);
  }
  // Inverse depth between four points, which is exact on a plane; NaN where one has none.
  function between(u, v) {
    const x = held(Math.floor(across(u)), columns - 2), y = held(Math.floor(down(v)), rows - 2);
    const right = across(u) - x, lower = down(v) - y, at = y * columns + x;
    const four = [at, at + 1, at + columns, at + columns + 1].map((each) => depth[each] ? 1 / depth[each] : NaN);
    return (1 - lower) * ((1 - right) * four[0] + right * four[1])
      + lower * ((1 - right) * four[2] + right * four[3]);
  }
  // At both ends by the line through its inside; null where that is not straight.
  function inside([u1, v1], [u2, v2]) {
    if (Math.hypot(u2 - u1, v2 - v1) < terms.line_least_pixels) return null;
    const t = [], y = [], count = terms.line_samples, margin = terms.line_ends;
    for (let place = 0; place < count; place++) {
      const at = margin + (1 - 2 * margin) * place / (count - 1);
      const inverse = between(u1 + at * (u2 - u1), v1 + at * (v2 - v1));
      if (inverse > 0) { t.push(at); y.push(inverse); }
    }
    if (t.length < 0.9 * count) return null;
    const [start, end] = straight(t, y);
    const misses = t.map((at, each) => {
      const fitted = start + at * (end - start);
      return Math.abs(y[each] - fitted) / Math.max(Math.abs(fitted), 1e-12);
    });
    if (quantile(misses, 0.9) > terms.line_miss || Math.min(start, end) <= 0) return null;
    return [1 / start, 1 / end];
  }
  return (first, second) => inside(first, second) ?? [near(first), near(second)];
}

// A length and its range with as many digits as mean something: 0.82 m (0.71 to 0.95).
function ranged(metres, error) {
  const factor = Math.exp(error), width = metres * factor - metres / factor;
  const digits = width > 0 && Number.isFinite(width)
    ? Math.min(6, Math.max(0, Math.ceil(-Math.log10(width / 5)))) : 3;
  const [value, low, high] = [metres, metres / factor, metres * factor].map((each) => each.toFixed(digits));
  return `${value} m (${low} to ${high})`;
}

// What lines say: a line is its ends first and second, (column, row), and its metres where known.
function ruler(depth, form, terms) {
  const read = readings(depth, form, terms), size = (vector) => Math.hypot(...vector);
  const lifted = ([u, v], z) => [((u - form.cx) / form.fx) * z, ((v - form.cy) / form.fy) * z, z];
  let middle = 0;
  const usual = () => (middle ||= quantile(depth.filter((z) => z), 0.5));
  function span({ first, second }) {
    const known = read(first, second);
    // Also a line that says nothing is drawn: its ends are dragged on from where they are.
    const depths = known.map((each, side) => each || known[1 - side] || usual());
    if (size([second[0] - first[0], second[1] - first[1]]) < 1) return { depths, fault: "the ends lie on one pixel" };
    if (!known[0] || !known[1]) return { depths, fault: "no depth at an end" };
    const a = lifted(first, depths[0]), b = lifted(second, depths[1]);
    const length = size(a.map((each, axis) => b[axis] - each));
    return { depths, length, middle: a.map((each, axis) => (each + b[axis]) / 2),
      along: Math.min(1, Math.abs(size(b) - size(a)) / length) };
  }
  // Error of the logarithm to expect, by the nearest place that is known: rilievo.calibration.ranges.
  function error({ middle: [x, y, z], along }, base, places) {
    const u = (form.fx * x) / z + form.cx, v = (form.fy * y) / z + form.cy;
    const [far, at] = places.map((place, index) => [size([place[0] - u, place[1] - v]) / form.width, index])
      .sort((one, other) => one[0] - other[0])[0] ?? [terms.unknown_far, -1];
    const apart = at < 0 ? 0 : Math.abs(Math.log(z / places[at][2])), share = at < 0 ? 0 : places[at][3];
    return Math.exp(base + terms.far * far + terms.along * along + terms.deeper * apart + terms.fact_along * share);
  }
  return (lines) => {
    const spans = lines.map(span), known = lines.findIndex((line, at) => line.metres && !spans[at].fault);
    const { first, second, metres } = lines[known] ?? {}, fact = spans[known];
    const factor = fact ? metres / fact.length : 1, metric = Boolean(fact) || terms.metric;
    const places = fact ? [[(first[0] + second[0]) / 2, (first[1] + second[1]) / 2,
      (factor * (fact.depths[0] + fact.depths[1])) / 2, fact.along]] : terms.places;
    const texts = spans.map((each, at) => {
      if (each.fault) return each.fault;
      if (at === known) return `${Number(metres.toPrecision(4))} m, known`;
      const scaled = { middle: each.middle.map((axis) => factor * axis), along: each.along };
      if (metric) return ranged(factor * each.length, error(scaled, fact ? terms.known_length : terms.own, places));
      const ratio = at && !spans[0].fault ? each.length / spans[0].length : 0;
      return ratio ? `${Number(ratio.toPrecision(3))} × line 1` : "length not known";
    });
    return { factor, metric, known, texts, depths: spans.map((each) => each.depths) };
  };
}
