"use strict";
// Lengths, heights, areas and angles in the photograph with the range to expect, as rilievo.measure
// has them, from the lattice of the surface.

const pixelsBetween = ([a, b], [c, d]) => Math.hypot(c - a, d - b);

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
  // The median about a point, 0 where there is none.
  function near([u, v]) {
    const x = clamp(0, Math.round(across(u)), columns - 1), y = clamp(0, Math.round(down(v)), rows - 1);
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
    const x = clamp(0, Math.floor(across(u)), columns - 2), y = clamp(0, Math.floor(down(v)), rows - 2);
    const right = across(u) - x, lower = down(v) - y, at = y * columns + x;
    const four = [at, at + 1, at + columns, at + columns + 1].map((each) => depth[each] ? 1 / depth[each] : NaN);
    return (1 - lower) * ((1 - right) * four[0] + right * four[1])
      + lower * ((1 - right) * four[2] + right * four[3]);
  }
  // At both ends by the line through its inside; null where that is not straight.
  function inside(first, second) {
    if (pixelsBetween(first, second) < terms.line_least_pixels) return null;
    const lens = lensOf(form), rays = [lens.ray(first), lens.ray(second)];
    const t = [], y = [], count = terms.line_samples, margin = terms.line_ends;
    for (let place = 0; place < count; place++) {
      const at = margin + (1 - 2 * margin) * place / (count - 1);
      // A point of the line is a combination of the two rays, times a factor whose inverse is linear.
      const on = rays[0].map((axis, each) => (1 - at) * axis + at * rays[1][each]);
      const inverse = between(...lens.pixel(on)) * lens.depth(on);
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
  // Relative difference to a depth that eight in ten depths around a point stay below.
  function spread([u, v], z, { window_low, window_high }) {
    const x = clamp(0, Math.round(across(u)), columns - 1), y = clamp(0, Math.round(down(v)), rows - 1), found = [];
    const reach = Math.min(Math.max(1, Math.floor(terms.window_radius / step)), x, y, columns - 1 - x, rows - 1 - y);
    for (let row = y - reach; row <= y + reach; row++) {
      for (let column = x - reach; column <= x + reach; column++) found.push(depth[row * columns + column]);
    }
    const valid = found.filter((each) => each);
    return Math.max(quantile(valid, window_high) - z, z - quantile(valid, window_low), 0) / z;
  }
  // Whether depth has about this value in the window around a point.
  function occurs([u, v], z) {
    const x = clamp(0, Math.round(across(u)), columns - 1), y = clamp(0, Math.round(down(v)), rows - 1), found = [];
    const reach = Math.max(1, Math.floor(terms.window_radius / step));
    for (let row = Math.max(0, y - reach); row <= Math.min(rows - 1, y + reach); row++) {
      for (let column = Math.max(0, x - reach); column <= Math.min(columns - 1, x + reach); column++) found.push(depth[row * columns + column]);
    }
    const valid = found.filter((each) => each), tolerance = terms.line_miss * Math.abs(z);
    return Math.min(...valid) - tolerance <= z && z <= Math.max(...valid) + tolerance;
  }
  function ends(first, second) {
    const fitted = inside(first, second);
    // A given map or a sensor shows where a surface ends before the line does; a network blurs it.
    const onSurface = fitted && terms.instrument && !(occurs(first, fitted[0]) && occurs(second, fitted[1])) ? null : fitted;
    return { depths: onSurface ?? [near(first), near(second)], isStraight: Boolean(onSurface) };
  }
  // The point whose depth ``near`` reads, which on a slope differs from that of the place.
  const centre = ([u, v]) => [form.first_column + step * clamp(0, Math.round(across(u)), columns - 1),
    form.first_row + step * clamp(0, Math.round(down(v)), rows - 1)];
  return { near, centre, spread, ends };
}

// Errors by an instrument, as rilievo.measure.instrument_ranges has them; null of a network's depth.
function instrumentErrors(form, terms, spread) {
  const one = terms.instrument, { ray, pixel, depth: away } = lensOf(form), size = (vector) => Math.hypot(...vector);
  if (!one) return null;
  const relativeAt = ([relative, absolute, growth], z) => relative + absolute / z + growth * z;
  const stated = (z) => relativeAt([one.relative, one.absolute, one.growth], z), rounded = (z) => relativeAt(one.rounding, z);
  // What may differ between the pixels of a surface, as far as it tilts the surface.
  const own = (z) => Math.hypot(one.own_share * stated(z), one.step_tilt * rounded(z));
  function gap(at) {
    const [u, v] = pixel(at), { grid } = one;
    if (!grid || u < -0.5 || v < -0.5 || u >= form.width - 0.5 || v >= form.height - 0.5) return 0;
    const column = Math.floor(((u + 0.5) * grid.columns) / form.width), row = Math.floor(((v + 0.5) * grid.rows) / form.height);
    return grid.measured[row * grid.columns + column] === "1" ? 0 : one.fill;
  }
  // The size of a pixel at a place [m], and the relative error of depth in the window around.
  function placing([u, v], at) {
    const z = away(at);
    return { size: z * size(less(ray([u + 0.5, v]), ray([u - 0.5, v]))), around: spread([u, v], z, one) };
  }
  const sideways = (vector) => vector[0] ** 2 + vector[1] ** 2, depthError = (at) => Math.hypot(stated(away(at)), rounded(away(at)), ...one.scale_errors.map((part) => relativeAt(part, away(at))), gap(at));
  // The error of a quantity by those of depth at places, with its change for a relative error at each of them.
  function byDepth(places, weights) {
    const changesBy = (error) => places.map((at, each) => weights[each] * error(away(at)));
    const sum = (changes) => Math.abs(changes.reduce((whole, each) => whole + each, 0));
    // The correlation of the errors is not known: the least favourable are independent or the same.
    const unfavourable = (changes) => Math.max(Math.hypot(...changes), sum(changes));
    const scales = one.scale_errors.map((part) => sum(changesBy((z) => relativeAt(part, z))));
    return Math.hypot(one.own_share * unfavourable(changesBy(stated)), one.common_share * sum(changesBy(stated)),
      unfavourable(changesBy(rounded)), ...scales, ...places.map((at, each) => weights[each] * gap(at)));
  }
  // The error of a plane's tilt along a unit direction in it [degrees].
  function tilt({ distance, support: { middle, inverseSpread } }, direction) {
    const error = Math.hypot(own(away(middle)), one.gap_share * gap(middle));
    return (Math.atan(distance * one.slope * error * inverseSpread(direction)) * 180) / Math.PI;
  }
  // The tilt of a plane along such a direction by each error of a known scale [degrees].
  function tiltsByScale({ distance, support: { middle, inverseSpread } }, direction) {
    const spread = 1 / inverseSpread(direction), at = (side) => away(middle.map((axis, each) => axis + side * spread * direction[each]));
    return one.scale_errors.map((part) => (Math.atan((distance * (relativeAt(part, at(1)) - relativeAt(part, at(-1)))) / (2 * spread)) * 180) / Math.PI);
  }
  return {
    distance: (at) => Math.hypot(depthError(at), (one.focal * sideways(at)) / dot(at, at)),
    length(a, b) {
      const line = less(b, a), squared = dot(line, line);
      return Math.hypot(byDepth([a, b], [-dot(line, a) / squared, dot(line, b) / squared]), (one.focal * sideways(line)) / squared);
    },
    // Of a height above a plane [m], also at height 0. The plane has the middle of its points, and how many of their
    // deviations the place is away from it.
    height(at, normal, above, { middle, offset }) {
      const foot = at.map((axis, each) => axis - above * normal[each]), distance = Math.abs(dot(normal, foot));
      const tilt = one.slope * own(away(middle)) * offset;
      return Math.hypot(byDepth([at, foot], [dot(normal, at), -dot(normal, foot)]), distance * tilt, one.focal * sideways(normal) * Math.abs(above));
    },
    // The range of the angle between two planes [degrees].
    angle(surfaces, degrees) {
      const [first, second] = surfaces.map(({ normal }) => normal), edge = unitNormalTo(first, second);
      const across = surfaces.map((surface) => tilt(surface, cross(edge, surface.normal)));
      const [tilts, others] = surfaces.map((surface) => tiltsByScale(surface, cross(edge, surface.normal)));
      const error = Math.hypot(...across, ...tilts.map((each, at) => others[at] - each), one.guessed_angle), whole = Math.hypot(error, ...surfaces.map((surface) => tilt(surface, edge)));
      let low = Math.max(0, degrees - error), high = Math.min(180, degrees + error);
      if (degrees <= whole) [low, high] = [0, Math.min(180, degrees + whole)];
      if (degrees >= 180 - whole) [low, high] = [Math.max(0, degrees - whole), 180];
      return [low, high];
    },
    // The bend of a surface up to which errors explain it; that of a network's depth always does.
    mostBend(middle, sides) {
      if (one.least_bend === null) return Infinity;
      const z = away(middle), filled = Math.max(...sides.map(({ a }) => gap(a)));
      return Math.max(one.least_bend, one.bend_per_error * Math.hypot(one.own_share * stated(z), rounded(z), filled));
    },
    // By placing points by hand: along a straight line, and of one or two ends on any surfaces.
    alongLine(first, second, [near, far]) {
      return (one.point * Math.hypot(far / near, near / far)) / Math.max(pixelsBetween(first, second), 1e-3);
    },
    between(pixels, [a, b]) {
      const line = less(b, a), squared = dot(line, line);
      return Math.hypot(...pixels.flatMap((place, each) => {
        const at = [a, b][each], { size: pixelSize, around } = placing(place, at);
        const across = Math.sqrt(Math.max(0, 1 - dot(line, at) ** 2 / (squared * dot(at, at))));
        return [(one.point * pixelSize * across) / Math.sqrt(squared), (around * Math.abs(dot(line, at))) / squared];
      }));
    },
    heightPlacing(place, at, normal) {
      const { size: pixelSize, around } = placing(place, at), along = Math.abs(dot(normal, at));
      return Math.hypot(one.point * pixelSize * Math.sqrt(Math.max(0, 1 - (along / size(at)) ** 2)), around * along);
    },
    ofKnown: ({ points, metres }) => (one.point * Math.SQRT2) / (metres.sides
      ? Math.min(...points.map((each, at) => pixelsBetween(each, points[(at + 1) % 4]))) : pixelsBetween(...points)),
  };
}

// A value and its range with as many digits as mean something: 0.82 m (0.71 to 0.95).
function ranged(unit, ...numbers) {
  const width = numbers[2] - numbers[1], far = width > 0 && Number.isFinite(width);
  const digits = far ? Math.min(6, Math.max(0, Math.ceil(-Math.log10(width / 5)))) : 3;
  const [value, low, high] = numbers.map((each) => each.toFixed(digits).replace(/^-(0\.?0*)$/, "$1"));
  return `${value}${unit} (${low} to ${high})`;
}

// A unit vector at right angles to two unit vectors; any such one of parallel ones.
function unitNormalTo(first, second) {
  const size = first.map(Math.abs), least = size.indexOf(Math.min(...size));
  let crossed = cross(first, second);
  if (Math.hypot(...crossed) < PARALLEL) crossed = cross(first, [0, 1, 2].map((axis) => (axis === least ? 1 : 0)));
  return crossed.map((axis) => axis / Math.hypot(...crossed));
}

const PARALLEL = 1e-6; // sine of an angle, as in rilievo.measure.quantities
const EQUAL = 1e-3; // share, as in rilievo.measure.quantities

// Whether a line is a known one.
function isSame([first, second], [u1, v1, u2, v2], most) {
  const off = ([u, v], [x, y]) => Math.max(Math.abs(u - x), Math.abs(v - y));
  const both = (one, other) => Math.max(off(first, one), off(second, other));
  return Math.min(both([u1, v1], [u2, v2]), both([u2, v2], [u1, v1])) <= most;
}

// A known length measured again is the known one; its range reaches to the measured one.
function again(metres, known) {
  const value = isEqual(metres, known) ? known : metres;
  return ranged(" m", known, Math.min(value, known), Math.max(value, known));
}

// The same by an instrument. Its length stays if known sizes scaled its depth, or if the known one is outside of its range,
// which then contains both.
function againByInstrument([metres, low, high], known, isScaled) {
  const isInRange = low <= known && known <= high;
  if (isInRange && (!isScaled || isEqual(metres, known))) return again(metres, known);
  return ranged(" m", metres, Math.min(low, known), Math.max(high, known));
}

const isEqual = (metres, known) => Math.abs(metres - known) < EQUAL * known;

// The first three corners of a rectangle [m] of which both sides are known, by the rays of its corners: those of a
// parallelogram add up to 0 with alternating signs. Null of corners that are not in order around one.
function cornersOfRectangle([a, b, c, d], sides) {
  const volume = (p, q, r) => dot(p, cross(q, r)), apart = (p, q) => Math.hypot(...less(p, q));
  const depths = [volume(b, c, d), volume(a, c, d), volume(a, b, d), volume(a, b, c)];
  if (Math.abs(depths.reduce((sum, each) => sum + Math.sign(each), 0)) < 4) return null;
  const [p, q, r] = [a, b, c].map((ray, at) => ray.map((axis) => axis * Math.abs(depths[at])));
  // The area says the size, whichever side is the first.
  const factor = Math.sqrt((sides[0] * sides[1]) / (apart(p, q) * apart(q, r)));
  return [p, q, r].map((corner) => corner.map((axis) => factor * axis));
}

// Whether two sides of an outline meet elsewhere than at their common corner.
function isCrossed(points) {
  const corners = points.filter((each, at) => pixelsBetween(each, points.at(at - 1)) > 0);
  const sides = corners.map((each, at) => [each, corners[(at + 1) % corners.length]]);
  const isNext = (first, second) => second - first === 1 || (first === 0 && second === sides.length - 1);
  return sides.some((side, second) => sides.slice(0, second).some((other, first) => !isNext(first, second) && doSidesMeet(other, side)));
}

function doSidesMeet(...sides) {
  const isApart = [0, 1].some((axis) => {
    const [first, second] = sides.map((side) => side.map((point) => point[axis]));
    return Math.max(...first) < Math.min(...second) || Math.max(...second) < Math.min(...first);
  });
  const isOnOneSide = ([[u1, v1], [u2, v2]], other) => {
    const offsets = other.map(([u, v]) => (u2 - u1) * (v - v1) - (v2 - v1) * (u - u1));
    return Math.min(...offsets) > 0 || Math.max(...offsets) < 0;
  };
  const [first, second] = sides;
  return !isApart && !isOnOneSide(first, second) && !isOnOneSide(second, first);
}

// What things measure. A thing is { what, points, metres }: a length, height, area or angle, its
// places (column, row), and where they are known the metres of a length, or { sides } of four corners.
function ruler(depth, form, terms) {
  const { near, centre, spread, ends } = readings(depth, form, terms), instrument = instrumentErrors(form, terms, spread), planes = fits(depth, form, terms);
  const size = (vector) => Math.hypot(...vector);
  const { ray, pixel, depth: away } = lensOf(form);
  const lifted = (place, z) => ray(place).map((each) => each * z);
  let middle = 0;
  // Also what says nothing is drawn: its points are dragged on from where they are.
  const usual = () => (middle ||= quantile(depth.filter((z) => z), 0.5));
  const span = (a, b, placing = 0) => {
    const length = size(less(b, a));
    return { length, a, b, placing, middle: a.map((each, axis) => (each + b[axis]) / 2),
      along: length ? Math.min(1, Math.abs(size(b) - size(a)) / length) : 0 };
  };
  const WAYS = {
    length({ points: [first, second] }) {
      const { depths: known, isStraight } = ends(first, second), depths = known.map((each, side) => each || known[1 - side] || usual());
      if (pixelsBetween(first, second) < 1) return { depths, fault: "the ends lie on one pixel" };
      if (!known[0] || !known[1]) return { depths, fault: "no depth at an end" };
      const [a, b] = [lifted(first, depths[0]), lifted(second, depths[1])];
      const one = span(a, b, isStraight ? instrument?.alongLine(first, second, depths) : instrument?.between([first, second], [a, b]));
      return { depths, value: one.length, power: 1, spans: [one] };
    },
    height({ points: [place] }) {
      const z = near(place), depths = [z || usual()], { floor } = terms;
      if (!z) return { depths, fault: "no depth at this point" };
      if (!floor) return { depths, fault: "no floor is visible" };
      const at = lifted(centre(place), z), above = dot(at, floor.normal) + floor.height;
      const foot = at.map((each, axis) => each - above * floor.normal[axis]);
      const offset = Math.hypot(...floor.axes.map((axis) => dot(axis, less(at, floor.middle))));
      const ground = { at, foot, below: floor.height - above, normal: floor.normal, middle: floor.middle, offset, misses: Math.hypot(floor.misfit * Math.abs(floor.height - above), instrument?.heightPlacing(place, at, floor.normal) ?? 0) };
      return { depths, value: above, power: 1, spans: [span(at, foot)], foot, ground };
    },
    area({ points }) {
      const depths = points.map((each) => near(each) || usual()), found = planes.inside(points);
      if (isCrossed(points)) return { depths, fault: "its sides cross" };
      if (!found) return { depths, fault: "too small for a plane" };
      const corners = points.map((each) => lifted(each, 1 / dot(found.plane, ray(each))));
      if (points.some((each) => !(dot(found.plane, ray(each)) > 0))) return { depths, fault: "its plane passes behind the camera" };
      const sides = corners.map((each, at) => [each, corners[(at + 1) % corners.length]]);
      const crossed = sides.map(([a, b]) => cross(a, b)).reduce((a, b) => a.map((each, axis) => each + b[axis]));
      return { depths: corners.map(away), value: size(crossed) / 2, power: 2,
        spans: sides.map(([a, b], at) => span(a, b, instrument?.alongLine(points[at], points[(at + 1) % points.length], [a, b].map(away)))), miss: found.miss,
        bend: found.bend, middle: found.support.middle };
    },
    box({ points }) {
      const found = boxedThing(depth, form, terms, points), z = found ? away(found.at) : usual();
      return { depths: [z, z], ...(found ?? { fault: "not enough depth in the box" }), power: 1 };
    },
    angle({ points }) {
      const known = points.map(near), depths = known.map((each) => each || usual());
      const found = points.map(planes.around);
      if (known.some((z) => !z) || !found[0] || !found[1]) return { depths, fault: "no depth at a point" };
      const degrees = (Math.acos(clamp(-1, dot(found[0].normal, found[1].normal), 1)) * 180) / Math.PI;
      return { depths, value: degrees, power: 0, range: instrument?.angle(found, degrees), miss: Math.max(...found.map(({ miss }) => miss)) };
    },
  };
  // Error of the logarithm to expect, by the nearest place that is known: rilievo.measure.ranges.
  function error({ middle, along }, base, places, weights = terms) {
    const [u, v] = pixel(middle), z = away(middle);
    const [far, at] = (z > 0 ? places : []).map((place, index) => [pixelsBetween(place, [u, v]) / form.width, index])
      .sort((one, other) => one[0] - other[0])[0] ?? [terms.unknown_far, -1];
    const apart = at < 0 ? 0 : Math.abs(Math.log(z / places[at][2])), share = at < 0 ? 0 : places[at][3];
    // Known sizes that contradict each other widen it, unless a size that was entered here replaces them.
    const least = places === terms.places ? terms.known_misfit : 0;
    return Math.max(least, Math.exp(base + weights.far * far + (along && weights.along * along) + weights.deeper * apart + weights.fact_along * share));
  }
  // Distance, width and height of the thing in a box.
  function told({ value, sizes, at, scale, scaleError }, factor, fact, places, knownError) {
    const base = fact ? terms.distance.known_length : terms.distance.own, by = fact ? factor : scale || 1;
    const byDepth = () => error({ middle: at.map((axis) => factor * axis), along: 0 }, base, places, terms.distance), byFoot = scaleError && !fact;
    // A wrong focal length changes the foot's distance too.
    const ofNetwork = () => (!byFoot ? byDepth() : terms.size_focal ? Math.max(byDepth(), scaleError) : scaleError);
    const expected = instrument ? Math.hypot(Math.log1p(instrument.distance(at.map((axis) => by * axis))), fact ? Math.log1p(knownError) : 0) : ofNetwork();
    // A length with its range, by the position of its quantity.
    const lengthOf = ({ seen, longest, gap, border }, which) => {
      const error = which ? Math.hypot(expected, terms.size_focal) : expected;
      const metres = by * seen, wide = Math.exp(Math.hypot(error, which ? terms.outline[which - 1] : 0, seen > 0 ? Math.log1p(border / seen) : 0));
      return [metres, metres / wide, Math.max((metres + by * gap) * wide, by * longest * Math.exp(error))];
    };
    const [far, wide, high] = [{ seen: value, longest: value, gap: 0, border: 0 }, ...sizes].map((each, which) => {
      const [metres, low, high] = lengthOf(each, which), [, lowExtended, highExtended] = each.extended ? lengthOf(each.extended, which) : [metres, low, high];
      return ranged(" m", metres, Math.min(low, lowExtended), Math.max(high, highExtended));
    });
    return `${far} away, ${wide} wide, ${high} high`;
  }
  // A height with errors that stay finite on the floor. A network's are factors, so they reach farther away from it.
  function heightText({ value, spans: [line], ground }, factor, base, places, knownError) {
    const scaled = (vector) => vector.map((axis) => factor * axis), metres = factor * value, misses = factor * ground.misses;
    if (instrument) {
      const error = Math.hypot(instrument.height(scaled(ground.at), ground.normal, metres, { middle: scaled(ground.middle), offset: ground.offset }), misses, metres * knownError);
      return ranged(" m", metres, metres - error, metres + error);
    }
    const wide = Math.exp(error({ ...line, middle: scaled(line.middle) }, base, places));
    // A network may also put the place before or behind where it is, which changes its distance below the camera.
    const foot = scaled(ground.foot), isAhead = away(foot) > 0;
    const apart = isAhead ? Math.min(pixelsBetween(pixel(foot), pixel(scaled(ground.at))) / form.width, terms.unknown_far) : terms.unknown_far;
    const shape = Math.exp(terms.distance.known_point + terms.distance.far * apart);
    const farther = factor * ground.below * Math.expm1(shape), nearer = factor * ground.below * -Math.expm1(-shape);
    const moved = [Math.max(farther, -nearer), Math.max(nearer, -farther)];
    const factors = metres < 0 ? [wide - 1, 1 - 1 / wide] : [1 - 1 / wide, wide - 1];
    const [low, high] = factors.map((each, side) => Math.hypot(each * metres, misses, moved[side]));
    return ranged(" m", metres, metres - low, metres + high);
  }
  function text(found, factor, base, places, knownError) {
    const { value, power, spans, miss } = found;
    if (found.ground) return heightText(found, factor, base, places, knownError);
    const isBent = instrument && found.bend && found.bend() > instrument.mostBend(found.middle.map((axis) => factor * axis), spans);
    const bent = miss > terms.flat || isBent ? ", not flat" : "";
    if (!power) return ranged("°", value, ...(found.range ?? [Math.max(0, value - terms.angle_error), Math.min(180, value + terms.angle_error)])) + bent;
    return ranged(power === 2 ? " m²" : " m", ...rangeOf(found, factor, base, places, knownError)) + bent;
  }
  // A length or an area with its range.
  function rangeOf({ value, power, spans }, factor, base, places, knownError) {
    const scaled = (vector) => vector.map((axis) => factor * axis);
    const errors = spans.map((each) => instrument ? Math.hypot(...[instrument.length(scaled(each.a), scaled(each.b)), each.placing, knownError].map(Math.log1p)) : error({ ...each, middle: each.middle.map((axis) => factor * axis) }, base, places));
    const metres = value * factor ** power, wide = Math.exp(power * quantile(errors, 0.5));
    return [metres, ...[metres / wide, metres * wide].sort((one, other) => one - other)];
  }
  // The factor by a known length, or by the middle of a rectangle, and the place of it.
  function scaleOf({ points, metres }, { value, depths, spans }) {
    if (!metres.sides) {
      const factor = metres / value, middle = [0, 1].map((axis) => (points[0][axis] + points[1][axis]) / 2);
      return { factor, place: [...middle, (factor * (depths[0] + depths[1])) / 2, spans[0].along] };
    }
    const corners = cornersOfRectangle(points.map(ray), metres.sides), middle = corners[0].map((axis, at) => (axis + corners[2][at]) / 2);
    const place = pixel(middle), z = rectangleReading(depth, form, points, corners) || near(place) || usual();
    return { factor: away(middle) / z, place: [...place, away(middle), 0] };
  }
  return (things) => {
    const found = things.map((each) => WAYS[each.what](each));
    const isOne = ({ points, metres }) => metres && (!metres.sides || cornersOfRectangle(points.map(ray), metres.sides));
    const known = things.findIndex((each, at) => isOne(each) && !found[at].fault), fact = found[known];
    const { points, metres, what: source } = things[known] ?? {}, scale = fact && scaleOf(things[known], fact);
    const factor = scale?.factor ?? 1, metric = Boolean(fact) || terms.metric;
    const knownError = fact && instrument ? instrument.ofKnown(things[known]) : 0, isScaled = Boolean(fact || terms.instrument?.scale_errors.length);
    const places = fact ? [scale.place] : terms.places;
    const lengths = !fact ? terms.lengths : metres.sides ? [] : [[...points.flat(), metres]];
    const texts = found.map((each, at) => {
      if (each.fault) return each.fault;
      if (things[at].metres && !isOne(things[at])) return "its sides cross";
      if (at === known) return metres.sides ? `${metres.name ?? metres.sides.join(" x ")}, known` : `${Number(metres.toPrecision(4))} m, known`;
      const given = things[at].what === "length" && lengths.find((line) => isSame(things[at].points, line, terms.same_end));
      const base = fact ? terms.known_length : terms.own;
      if (given && instrument) return againByInstrument(rangeOf(each, factor, base, places, knownError), given[4], isScaled);
      if (given) return again(factor * each.value, given[4]);
      if (metric && each.sizes) return told(each, factor, fact, places, knownError);
      if (metric || !each.power) return text(each, factor, base, places, knownError);
      const { what } = things[at], isRatio = at && what === "length" && things[0].what === what && !found[0].fault;
      return isRatio ? `${Number((each.value / found[0].value).toPrecision(3))} × line 1` : what === "length" ? "length not known" : "not known";
    });
    return { factor, metric, known, source, texts, depths: found.map((each) => each.depths), feet: found.map(({ foot }) => foot &&
      { place: pixel(foot), z: away(foot) }) };
  };
}
