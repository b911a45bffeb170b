"use strict";
// Distance, width and height of the object in a box, as rilievo.measure.region_measurer measures them.

const MOST_POINTS = 30000, SURROUNDINGS = 0.15, LEAST_SURROUNDINGS = 3, BESIDE_LINES = 0.06, SAME_BORDER = 1.5, NOISE_AT_BORDER = 2;
const SIDES = [0.01, 0.99], NEAREST = 0.1, STANDS = 0.25, HIDDEN_FEET = 0.6, LONGEST = 4;
const LEVEL = Math.cos(Math.PI / 9), TABLE_TILT = Math.cos((5 * Math.PI) / 18);
const MOSTLY_KNOWN = 0.6, LEAST_GAIN = 0.02, MOST_GRIDS = 8, LEAST_LINES = 6, BORDER_ERROR = 0.7, MOST_GAP = 12;
const FOOT_ERROR = 0.15, TILT_ERROR = 0.01, LEAST_DROP = 1e-3;

// The finest grid, at least of a step, most of whose pixels in a box have depth; else the densest one.
function densestGrid(depth, { columns }, [across, down], leastStep) {
  const longest = Math.max(leastStep, Math.min(leastStep + MOST_GRIDS, Math.floor(Math.min(across.size, down.size) / LEAST_LINES)));
  let best = { step: leastStep, row: 0, column: 0 }, most = -1;
  for (let step = leastStep; step <= longest && most < MOSTLY_KNOWN; step++) {
    for (let row = 0; row < Math.min(step, down.size); row++) {
      for (let column = 0; column < Math.min(step, across.size); column++) {
        let [known, total] = [0, 0];
        for (let y = down.first + row; y <= down.last; y += step) for (let x = across.first + column; x <= across.last; x += step, total++) known += depth[y * columns + x] ? 1 : 0;
        if (known / total > most + LEAST_GAIN) [best, most] = [{ step, row, column }, known / total];
      }
    }
  }
  return best;
}

// A grid of the pixels of a box and its surroundings, by the corners of the box; null of a box without pixels.
function windowOf(depth, form, terms, [one, other]) {
  const { ray } = lensOf(form), sides = [[form.first_column, form.columns], [form.first_row, form.rows]];
  const spans = [0, 1].map((axis) => {
    const [low, high] = [one[axis], other[axis]].sort((a, b) => a - b), [start, count] = sides[axis];
    const first = Math.max(0, Math.ceil((low - start) / form.step)), last = Math.min(count - 1, Math.floor((high - start) / form.step));
    return { low: Math.ceil(low), high: Math.floor(high), first, last, size: last + 1 - first, start, count };
  });
  const [across, down] = spans;
  if (across.size < 1 || down.size < 1) return null;
  const grid = densestGrid(depth, form, spans, Math.max(1, Math.floor(Math.sqrt(Math.floor((across.size * down.size) / MOST_POINTS))))), { step } = grid;
  [across.start, down.start] = [across.first + grid.column, down.first + grid.row];
  const around = Math.max(LEAST_SURROUNDINGS, Math.ceil((SURROUNDINGS * Math.max(across.size, down.size)) / step));
  for (const span of spans) {
    span.from = span.start - step * Math.min(around, Math.floor(span.start / step));
    span.places = [];
    for (let at = span.from; at < Math.min(span.last + step * around + 1, span.count); at += step) span.places.push(at);
  }
  const columns = across.places.length, rows = down.places.length, count = rows * columns;
  const valid = new Uint8Array(count), region = new Uint8Array(count), inside = new Uint8Array(count), weight = new Float64Array(count), raw = new Float64Array(count).fill(1);
  const u = new Float64Array(count), v = new Float64Array(count);
  const middle = (at, { low, high }) => 1.001 - clamp(-1, (2 * (at - low)) / Math.max(high - low, 1) - 1, 1) ** 2;
  const isWithin = (at, { first, last }) => at >= first && at <= last;
  let at = 0, regionRows = null;
  down.places.forEach((y, row) => across.places.forEach((x) => {
    const z = depth[y * form.columns + x];
    [u[at], v[at]] = [form.first_column + x * form.step, form.first_row + y * form.step];
    if (z) [valid[at], raw[at]] = [1, z];
    if (isWithin(x, across) && isWithin(y, down)) [region[at], regionRows] = [1, [regionRows ? regionRows[0] : row, row]];
    inside[at] = valid[at] & region[at];
    weight[at] = middle(u[at], across) * middle(v[at], down);
    at++;
  }));
  const size = { rows, columns }, noise = noiseOf(raw.map(Math.log), valid, size), edgeWidth = 1 + (terms.edge_width - 1) / (step * form.step);
  const left = noise / (2 * smoothingRadius(noise) + 1), smooth = sharpenedDepth(smoothedDepth(raw, valid, size, noise), valid, size, edgeWidth, left), points = new Float64Array(3 * count);
  for (let each = 0; each < count; each++) points.set(ray([u[each], v[each]]).map((axis) => axis * smooth[each]), 3 * each);
  return { ...size, u, v, depth: smooth, valid, region, inside, weight, points, noise, edgeWidth, hasMixtures: terms.edge_width > SHARP_WIDTH || noise > LEAST_NOISE, isSoft: terms.has_soft_edges, regionRows, step: step * form.step };
}

// Points of an object to the borders of its pixels, with their rows and columns on the grid.
function outlineOf(window, own, isSoft, form) {
  const { ray, pixel, depth: away } = lensOf(form), { columns, depth, points } = window, found = { points: [], rows: [], columns: [] };
  const add = (place, at) => {
    found.points.push(place);
    found.rows.push(Math.floor(at / columns));
    found.columns.push(at % columns);
  };
  const ways = [[-1, 0], [1, 0], [0, -1], [0, 1]];
  const besides = (at, right, down) => {
    const column = (at % columns) + right, row = Math.floor(at / columns) + down;
    return column < 0 || column >= columns || row < 0 || row >= window.rows ? -1 : row * columns + column;
  };
  for (let at = 0; at < own.length; at++) {
    if (!own[at]) continue;
    add([points[3 * at], points[3 * at + 1], points[3 * at + 2]], at);
    if (isSoft) continue;
    for (const [right, down] of ways) {
      const after = besides(at, right, down), before = besides(at, -right, -down);
      if (after >= 0 && own[after]) continue;
      const rise = before >= 0 ? (1 / depth[at] - 1 / depth[before]) * depth[at] : 0;
      const z = depth[at] / (1 + (before >= 0 && own[before] && Math.abs(rise) <= CONTINUOUS ? rise / 2 : 0));
      add(ray([window.u[at] + (window.step / 2) * right, window.v[at] + (window.step / 2) * down]).map((axis) => axis * z), at);
    }
  }
  const centres = listOf(own.length, (at) => at).filter((at) => own[at]);
  const middle = [0, 1, 2].map((axis) => quantile(centres.map((at) => points[3 * at + axis]), 0.5)), [u, v] = pixel(middle);
  const view = middle.map((axis) => axis / Math.hypot(...middle)), size = window.step * away(middle) * Math.hypot(...less(ray([u + 0.5, v]), ray([u - 0.5, v])));
  return { ...found, middle, view, size, border: isSoft ? 0 : BORDER_ERROR * window.edgeWidth * size, gaps: gapsBeside(own, window, besides).map((each) => each * size),
    isSoft, noise: window.noise > LEAST_NOISE ? window.noise : 0 };
}

// Mean widths of the gaps without depth beside an object, to the left, right, top and bottom; wide ones are a background.
function gapsBeside(own, { valid }, besides) {
  return [[-1, 0], [1, 0], [0, -1], [0, 1]].map(([right, down]) => {
    let [total, count] = [0, 0];
    for (let at = 0; at < own.length; at++) {
      if (!own[at]) continue;
      const next = besides(at, right, down);
      if (next >= 0 && own[next]) continue;
      let width = 0, place = next;
      while (width < MOST_GAP && place >= 0 && !valid[place]) [width, place] = [width + 1, besides(at, right * (width + 2), down * (width + 2))];
      total += width < MOST_GAP ? width : 0;
      count++;
    }
    return count ? total / count : 0;
  });
}

// The mean of the lines that end within a pixel of the largest end, each on a line fitted to the ends beside it within reach.
function outermost(along, lines, reach, pixel) {
  const first = lines.reduce((least, each) => Math.min(least, each), Infinity), count = lines.reduce((most, each) => Math.max(most, each), 0) + 1 - first;
  const profile = new Float64Array(count).fill(-Infinity), width = rounded(BESIDE_LINES * count);
  along.forEach((each, at) => { profile[lines[at] - first] = Math.max(profile[lines[at] - first], each); });
  const ends = [];
  for (let line = 0; line < count; line++) {
    if (profile[line] === -Infinity) continue;
    const sums = [0, 0, 0], steps = [0, 0];
    for (let place = Math.max(-width, -line); place <= Math.min(width, count - 1 - line); place++) {
      const step = profile[line + place] - profile[line];
      if (!(Math.abs(step) <= reach)) continue;
      for (let power = 0; power < 3; power++) sums[power] += place ** power;
      steps[0] += step;
      steps[1] += step * place;
    }
    const determinant = sums[0] * sums[2] - sums[1] ** 2;
    ends.push(profile[line] + (determinant > 0 ? (sums[2] * steps[0] - sums[1] * steps[1]) / determinant : 0));
  }
  const most = ends.reduce((largest, each) => Math.max(largest, each), -Infinity), near = ends.filter((each) => each > most - pixel);
  return near.reduce((sum, each) => sum + each, 0) / near.length;
}

// Half to the even number, as Python rounds.
const rounded = (number) => (number % 1 === 0.5 && Math.floor(number) % 2 === 0 ? Math.floor(number) : Math.round(number));

// First and last coordinate along an axis, of which the points of each line are compared.
function endsAlong(outline, axis, lines) {
  const along = outline.points.map((each) => dot(each, axis));
  if (outline.isSoft) return SIDES.map((share) => quantile(along, share));
  const far = quantile(outline.points.map((each) => Math.hypot(...each)), 0.5);
  const reach = SAME_BORDER * outline.size + CONTINUOUS * far * Math.abs(dot(axis, outline.view)) + NOISE_AT_BORDER * outline.noise * far;
  return [-outermost(along.map((each) => -each), lines, reach, outline.size), outermost(along, lines, reach, outline.size)];
}

// Direction up: from the floor, else from a level surface, else the picture's.
function upwards(floor, planes) {
  const pictureUp = [0, -1, 0], normals = planes.map(({ m, tolerance }) => ({ tolerance, normal: m.map((axis) => -axis / Math.hypot(...m)) }));
  const level = normals.filter(({ normal }) => dot(normal, pictureUp) > TABLE_TILT);
  if (!floor) return level[0]?.normal ?? pictureUp;
  const exact = level.find(({ tolerance, normal }) => tolerance <= 2 * TOLERANCES[0] && dot(normal, floor.normal) > LEVEL);
  return exact && floor.normal.every((axis, at) => axis === pictureUp[at]) ? exact.normal : floor.normal;
}

// Level of the surface on which the object stands; null where it does not.
function standingLevel(points, planes, up, across, ahead, width, [low, high], isCut) {
  const heightsOf = ({ m }) => points.map((each) => (dot(each, m) - 1) / dot(m, up));
  const level = planes.filter(({ m }) => -dot(m, up) / Math.hypot(...m) > LEVEL).map(heightsOf);
  const heights = level.sort((one, other) => Math.abs(quantile(one, 0.01)) - Math.abs(quantile(other, 0.01)))[0];
  if (!heights || isCut) return null;
  const base = quantile(points.map((each, at) => dot(each, up) - heights[at]), 0.5), gap = low - base;
  const most = quantile(heights, 0.02), lowest = points.filter((_, at) => heights[at] <= most);
  const way = gap * quantile(lowest.map((each) => Math.hypot(dot(each, across), dot(each, ahead)) / Math.max(-dot(each, up), 1e-9)), 0.5);
  return gap <= STANDS * (high - base) && way <= HIDDEN_FEET * width ? base : null;
}

// Relative difference of depth within which what lies around the box is on the floor.
function floorPlane(window, { normal, height }) {
  const m = normal.map((axis) => -axis / height), { points, valid, region } = window, isAround = valid.some((each, at) => each && !region[at]), misses = [];
  for (let at = 0; at < valid.length; at++) {
    const miss = valid[at] && !(isAround && region[at]) ? Math.abs(missOf(m, points, 3 * at)) : Infinity;
    if (miss < TOLERANCES[1]) misses.push(miss);
  }
  return { m, tolerance: toleranceOf(misses) };
}

// Width and height of pixels of an object: of the part seen, the longest that the whole may have, the gaps without depth
// beside it, and the error of its border. `axes` are directions to the right, up and forward.
function extentsOf(window, own, outline, { planes, isSoft }, form, terms, [across, up, ahead]) {
  const pixels = listOf(own.length, (at) => at).filter((at) => own[at]), points = pixels.map((at) => [0, 1, 2].map((axis) => window.points[3 * at + axis]));
  const [left, right] = endsAlong(outline, across, outline.rows), [low, high] = endsAlong(outline, up, outline.columns);
  const reaches = (places, last) => [places.some((each) => each < window.step), places.some((each) => each > last - 1 - window.step)];
  const [isCutLeft, isCutRight] = reaches(pixels.map((at) => window.u[at]), form.width), [isCutTop, isCutBottom] = reaches(pixels.map((at) => window.v[at]), form.height);
  const level = standingLevel(points, planes, up, across, ahead, right - left, [low, high], isCutBottom);
  const foot = level === null ? low : isSoft ? Math.min(low, level) : level, width = right - left, height = high - foot, most = LONGEST * Math.max(width, height);
  const tallest = isCutTop ? most : isCutBottom ? Math.max(height, terms.floor ? high + terms.floor.height : most) : height;
  const [besideWidth, besideHeight] = [outline.gaps[0] + outline.gaps[1], outline.gaps[2] + outline.gaps[3]], border = Math.SQRT2 * outline.border;
  return [{ seen: width, longest: isCutLeft || isCutRight ? most : width, gap: besideWidth, border }, { seen: height, longest: tallest, gap: besideHeight, border }];
}

// Distance, width and height in the unit of depth, by the corners of the box; null of too little depth. Each size is
// that of the part seen, and the longest that the whole may have. `extended` is the size with parts that may show the
// object or what is beside it. `scale` is what distances are multiplied by where the street tells them, and `scaleError`
// their error then.
function boxedThing(depth, form, terms, corners) {
  const window = windowOf(depth, form, terms, corners), { ray } = lensOf(form), size = (vector) => Math.hypot(...vector);
  if (!window) return null;
  const separation = separated(window, terms.floor ? floorPlane(window, terms.floor) : null), { own, doubtful, planes, isSoft } = separation;
  const pixels = listOf(own.length, (at) => at).filter((at) => own[at]);
  if (pixels.length < FEWEST) return null;
  const outline = outlineOf(window, own, isSoft, form), far = pixels.map((at) => size([0, 1, 2].map((axis) => window.points[3 * at + axis])));
  const up = upwards(terms.floor, planes), looks = isInside(form) ? outline.middle : [0, 0, 1], forward = looks.map((axis, at) => axis - dot(looks, up) * up[at]), ahead = forward.map((axis) => axis / size(forward));
  const extents = (mask, itsOutline) => extentsOf(window, mask, itsOutline, separation, form, terms, [cross(ahead, up), up, ahead]);
  const sizes = extents(own, outline);
  if (doubtful?.some((each) => each)) {
    const whole = own.map((each, at) => each | doubtful[at]);
    extents(whole, outlineOf(window, whole, isSoft, form)).forEach((each, at) => { sizes[at].extended = each; });
  }
  const [bottom, middle, near] = [Math.max(corners[0][1], corners[1][1]), quantile(far, 0.5), quantile(far, NEAREST)];
  const line = ray([(corners[0][0] + corners[1][0]) / 2, bottom]), drop = terms.floor ? -dot(line, terms.floor.normal) / size(line) : 0;
  const isFoot = terms.is_street && drop > LEAST_DROP && bottom <= form.height - 2;
  return { value: middle, at: outline.middle, sizes,
    scale: isFoot ? terms.floor.height / drop / Math.sqrt(near * middle) : 0,
    scaleError: isFoot ? Math.hypot(FOOT_ERROR, TILT_ERROR / drop) : 0 };
}
