"use strict";
// A view of the surface to turn, shift and zoom.

const VERTEX = `#version 300 es
in vec3 position;
in vec2 uv;
uniform mat4 modelViewMatrix, projectionMatrix;
uniform float size;
out vec3 seen;
out vec2 place;
void main() {
  vec4 point = modelViewMatrix * vec4(position, 1.0);
  seen = point.xyz;
  place = uv;
  gl_Position = projectionMatrix * point;
  gl_PointSize = size;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 seen;
in vec2 place;
uniform sampler2D picture, normals;
uniform mat3 normalMatrix;
uniform float shape, known, lit;
out vec4 colour;
const vec3 LIGHT = normalize(vec3(-0.55, 0.65, 0.5));
void main() {
  if (shape < 0.5) {
    // Soft light as on a thing in a room, by normals where there are some; level ones keep their colour.
    float light = lit > 0.0 ? dot(normalize(normalMatrix * (texture(normals, place).rgb * 2.0 - 1.0)), LIGHT) - 0.5 : 0.0;
    colour = vec4(texture(picture, place).rgb * clamp(1.0 + 0.8 * lit * light, 0.75, 1.12), 1.0);
  } else {
    // Normals of the model are smoother than those of triangles, which show every pixel of depth.
    vec3 normal = known > 0.5
      ? normalize(normalMatrix * (texture(normals, place).rgb * 2.0 - 1.0))
      : normalize(cross(dFdx(seen), dFdy(seen)));
    float light = abs(dot(normal, normalize(vec3(-0.35, 0.5, 0.8))));
    colour = vec4(vec3(0.86, 0.84, 0.80) * (0.22 + 0.78 * light), 1.0);
  }
}`;

// A level grid below the surface, which says how it stands in space.
const FLOOR_VERTEX = `#version 300 es
in vec3 position;
uniform mat4 modelViewMatrix, projectionMatrix;
out vec2 place;
void main() {
  place = position.xz;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;
const FLOOR_FRAGMENT = `#version 300 es
precision highp float;
in vec2 place;
uniform float cell, lit;
out vec4 colour;
void main() {
  vec2 at = place / cell, line = clamp(1.4 - abs(at - round(at)) / fwidth(at), 0.0, 1.0);
  float away = length(place - vec2(0.0, -1.0)) / cell;
  colour = vec4(vec3(0.75), 1.0) * (lit * 0.6 * max(line.x, line.y) * clamp(1.3 - away / 9.0, 0.0, 1.0));
}`;

// The backdrop for the sky. The photograph's own camera sees the photograph as it is. From elsewhere, each place has the
// colours of the sky beside what hid it.
const SKY_VERTEX = `#version 300 es
in vec3 position;
in vec2 uv, own;
uniform mat4 modelViewMatrix, projectionMatrix;
out vec2 place, ownPlace;
void main() {
  place = uv;
  ownPlace = own;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;
const SKY_FRAGMENT = `#version 300 es
precision highp float;
in vec2 place, ownPlace;
uniform sampler2D picture;
uniform float moved;
out vec4 colour;
void main() {
  colour = vec4(mix(texture(picture, ownPlace).rgb, texture(picture, place).rgb, moved), 1.0);
}`;

const texture = (gl, image, form) => image
  ? new OGL.Texture(gl, { image, wrapS: isInside(form) ? gl.REPEAT : gl.CLAMP_TO_EDGE, wrapT: gl.CLAMP_TO_EDGE })
  : new OGL.Texture(gl, { image: new Uint8Array([180, 180, 180, 255]), width: 1, height: 1,
    generateMipmaps: false });

// The byte of four neighbours that all have depth, with both of their triangles; else as it is.
const untorn = (depth, { columns }, bits, cell) => (cornersOf(cell, columns).every((at) => depth[at]) ? bits | 6 : bits);

function model(gl, data, form) {
  const { Geometry, Mesh, Program } = OGL;
  // From inside nobody sees behind an edge, so nothing is torn.
  const faces = isInside(form) ? data.faces.map((bits, at) => untorn(data.depth, form, bits, at)) : data.faces;
  const index = triangles(faces, form), used = corners(index, data.depth.length);
  const lattice = latticeFrom(data.depth, form), rims = contoured(lattice, faces, index, form);
  const logarithm = used.reduce((sum, at) => sum + Math.log(data.depth[at]), 0) / used.length;
  const unit = Math.exp(logarithm), { position, uv } = vertices(lattice, form, unit, rims);
  const photo = part("photo"), normals = part("normals");
  const uniforms = { picture: { value: texture(gl, photo, form) }, normals: { value: texture(gl, normals, form) },
    known: { value: normals ? 1 : 0 }, shape: { value: photo ? 0 : 1 }, size: { value: 2 }, lit: { value: 0 } };
  const drawn = (numbers, mode, points, own = uniforms) => {
    const program = new Program(gl, { vertex: VERTEX, fragment: FRAGMENT, uniforms: own, cullFace: false });
    const attributes = { position: { size: 3, data: points.position }, uv: { size: 2, data: points.uv } };
    return new Mesh(gl, { geometry: new Geometry(gl, { ...attributes, index: { data: numbers } }), program, mode,
      frustumCulled: false });
  };
  const floor = floorOf(gl, position, used, form);
  const sky = photo && data.sky ? skyOf(gl, data.sky, form, unit, uniforms.picture) : null;
  return { uniforms, used, position, unit, floor, sky, ...heldAt(lattice, form), surface: drawn(index, gl.TRIANGLES, { position, uv }),
    points: drawn(used, gl.POINTS, { position, uv }),
    // For the photograph's own camera, which sees no step of depth, until the backing is made.
    whole() { return drawn(triangles(faces.map((bits, at) => untorn(data.depth, form, bits, at)), form), gl.TRIANGLES, { position, uv }); },
    // None at the photograph's own camera, all from where it is clearly turned.
    light(share) { [floor.program.uniforms.lit.value, uniforms.lit.value] = [share, normals ? share : 0]; },
    // What fills tears, and far surfaces behind near ones in their soft colours: scenes to draw.
    backing() {
      const fill = fillOf(lattice, faces, form.edge, Math.ceil(BACKING * form.columns)), scenes = [];
      if (fill.tears.length) scenes.push(drawn(Uint32Array.from(fill.tears), gl.TRIANGLES, { position, uv }));
      if (!fill.behind.length) return scenes;
      const { shape, size } = uniforms, picture = { value: softTexture(gl, photo, lattice, fill.layer, form) };
      // The model's normals and its light are those of what stands before it.
      scenes.push(drawn(Uint32Array.from(fill.behind), gl.TRIANGLES, vertices({ ...lattice, z: fill.layer.z }, form, unit),
        { shape, size, picture, normals: uniforms.normals, known: { value: 0 }, lit: { value: 0 } }));
      return scenes;
    } };
}

// The backdrop for the sky. It is drawn without depth, before everything else, and seen from the front alone.
function skyOf(gl, flags, form, unit, picture) {
  // At a larger distance, no turn would move it more, but the camera would cut it off.
  const depth = Math.min(form.sky.depth, FARTHEST_SKY * unit), { pixel } = lensOf(form);
  const { points, pixels, index } = backdropOf({ ...form.sky, depth }, flags, form, form);
  const numbers = (size, vectors) => ({ size, data: Float32Array.from(vectors.flat()) });
  const placeOf = ([u, v]) => [(u + 0.5) / form.width, 1 - (v + 0.5) / form.height];
  const geometry = new OGL.Geometry(gl, { position: numbers(3, points.map(([x, y, z]) => [x / unit, -y / unit, -z / unit])),
    uv: numbers(2, pixels.map(placeOf)), own: numbers(2, points.map((point) => placeOf(pixel(point)))), index: { data: Uint32Array.from(index) } });
  const program = new OGL.Program(gl, { vertex: SKY_VERTEX, fragment: SKY_FRAGMENT, depthTest: false, depthWrite: false,
    uniforms: { picture, moved: { value: 0 } } });
  return new OGL.Mesh(gl, { geometry, program, frustumCulled: false });
}

// The soft colours of a layer, from the photograph where it shows the far surfaces.
function softTexture(gl, photo, lattice, layer, form) {
  if (!photo) return texture(gl, null, form);
  const { rows, columns } = lattice, small = made("canvas", { width: columns, height: rows }).getContext("2d");
  small.drawImage(photo, 0, 0, columns, rows);
  const { width, height, data } = softPicture(layer, lattice, small.getImageData(0, 0, columns, rows).data);
  const soft = made("canvas", { width, height });
  soft.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return texture(gl, soft, form);
}

// The floor: as low as what is near, a few times as wide as the photograph.
function floorOf(gl, position, used, form) {
  const cell = form.width / form.fx / 8, wide = 12 * cell;
  const low = used.reduce((least, at) => (position[3 * at + 2] > -1.5 ? Math.min(least, position[3 * at + 1]) : least), 0) - cell / 8;
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].flatMap(([x, z]) => [x * wide, low, z * wide - 1]);
  const program = new OGL.Program(gl, { vertex: FLOOR_VERTEX, fragment: FLOOR_FRAGMENT, cullFace: false, transparent: true, depthWrite: false,
    uniforms: { cell: { value: cell }, lit: { value: 0 } } });
  program.setBlendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  return new OGL.Mesh(gl, { geometry: new OGL.Geometry(gl, { position: { size: 3, data: Float32Array.from(corners) }, index: { data: Uint16Array.of(0, 1, 2, 0, 2, 3) } }),
    program, frustumCulled: false });
}

// The angle up to which a turn is held: where much of the view would be made up, it is less; and whether
// the surface bears the turn of the first view, which goes to the side where less is made up.
function heldAt(lattice, { edge, fx, step }) {
  const moved = [0, 0], there = lattice.z.filter((_, at) => lattice.valid[at]);
  for (const rise of edgesAlong(lattice, 1, edge)) moved[rise > 0 ? 1 : 0] += Math.abs(rise);
  const share = (Math.max(...moved) * quantile(there, 0.5) * fx) / step / there.length;
  const most = Math.asin(Math.min(1, MADE_UP / share));
  return { held: clamp(SWAY, most, HELD), first: most < SWAY ? 0 : Math.min(most, REST) * (moved[0] > moved[1] ? -1 : 1) };
}

// How far what is there reaches from the middle of the photograph's camera and of the first view, across and
// up; from inside, a window.
function reach(position, used, inside, first) {
  if (inside) return { ...WINDOW };
  let across = 0, up = 0;
  for (const turn of new Set([0, first])) {
    const [sine, cosine] = [Math.sin(turn), Math.cos(turn)], [sink, rise] = [Math.sin(Math.abs(turn) * TILT), Math.cos(turn * TILT)];
    for (const at of used) {
      const [x, y, z] = [position[3 * at], position[3 * at + 1], position[3 * at + 2] + 1], ahead = sine * x + cosine * z;
      const away = 1 - rise * ahead - sink * y;
      across = Math.max(across, Math.abs(cosine * x - sine * z) / away);
      up = Math.max(up, Math.abs(rise * y - sink * ahead) / away);
    }
  }
  return { across, up };
}

// The angle from top to bottom that takes it in, in a window of this shape, with a little air.
const angle = ({ across, up }, aspect) => (2 * Math.atan(1.06 * Math.max(up, across / aspect)) * 180) / Math.PI;

// Unit vector from what is looked at to a camera, turned right and up.
const turned = (right, up) =>
  [Math.sin(right) * Math.cos(up), Math.sin(up), Math.cos(right) * Math.cos(up)];

const BACKING = 0.5; // share of the width, as in rilievo.io.outputs.save_options
const AROUND = "Drag or use the arrow keys to look around. Zoom with + and −, or with the wheel after a click. 0 looks straight ahead.";
const WINDOW = { across: 0.7, up: 0.7 }, STEP = 0.001; // from inside: half a window's sides, and how far one turns about
// Where a turn is held at most, how far beyond it gives way, and the share of that by which it goes back every frame.
const MADE_UP = 0.15; // largest share of a view that is made up
const FREE = 1.5, HELD = (20 * Math.PI) / 180, GIVE = (8 * Math.PI) / 180, BACK = 0.2, SWAY = (8 * Math.PI) / 180;
const REST = (14 * Math.PI) / 180, TILT = 0.5; // the first view to a side at most, and of that up
const FARTHEST_SKY = 500; // usual depths
const UNMOVED = (1.5 * Math.PI) / 180; // turn from which on no part of the sky has the colours of what hid it
const EYES = 0.06; // between the eyes, as a share of the usual depth
const PERIOD = 8, LASTS = 60, SLOWEST = 10; // seconds, seconds, frames a second

function view(canvas, data, form) {
  const renderer = new OGL.Renderer({ canvas, dpr: Math.min(devicePixelRatio, 2), alpha: true,
    antialias: true, webgl: 2 });
  const inside = isInside(form), { ray } = lensOf(form);
  const { gl } = renderer, { signal } = life, shown = model(gl, data, form);
  const rest = canvas.closest(".filled, .phone") && !inside ? shown.first : 0; // angle of the first view
  const bounds = reach(shown.position, shown.used, inside, shown.first);
  const camera = new OGL.Camera(gl, { near: 0.01, far: 1000, fov: 45 });
  let until = 0, drawing = false, dots = false, before = "", began = null, frames = 0, orbit, most;
  let halfWidth = 0, halfHeight = 0, drew = () => {}, rested = () => {}, layer = null, isBacked = false, isFirst = false;
  // Clears the canvas and draws the sky. Without one, and for a shape, which has none, it gives null.
  function drawnSky() {
    if (!shown.sky || shown.uniforms.shape.value) return null;
    shown.sky.program.uniforms.moved.value = Math.min(1, Math.hypot(...camera.position) / UNMOVED);
    renderer.render({ scene: shown.sky, camera });
    return shown.sky;
  }
  // The library knows its limits only when it begins.
  function hold(limit) {
    const target = orbit ? orbit.target : new camera.position.constructor(0, 0, inside ? -STEP : -1);
    orbit?.remove();
    most = limit;
    const end = limit + GIVE, ends = limit === FREE ? {} : { minAzimuthAngle: -end, maxAzimuthAngle: end,
      minPolarAngle: Math.PI / 2 - end, maxPolarAngle: Math.PI / 2 + end };
    const about = inside ? { rotateSpeed: -0.3, minDistance: STEP, maxDistance: STEP, enablePan: false }
      : { rotateSpeed: 0.5, minDistance: 0.02, maxDistance: 60 };
    orbit = new OGL.Orbit(camera, { element: canvas, target, panSpeed: 0.5, ease: 0.35, inertia: 0.6, ...about, ...ends });
    wake();
  }
  // Only while something moves: a page that lies open costs nothing.
  function draw() {
    if (signal.aborted) return;
    // Made before the first frame that is turned; from the photograph's own camera nobody sees the difference.
    let isWhole = Boolean(layer) || !isBacked || dots;
    if (!isWhole && (frames || isFirst)) {
      layer = shown.backing();
      isWhole = true;
      [began, frames] = [began === null ? null : performance.now(), 0];
    }
    const seconds = began === null ? LASTS : (performance.now() - began) / 1000;
    if (isWhole && isFirst) {
      isFirst = false;
      stand(rest, rest);
    }
    const sways = seconds < LASTS;
    const stutters = ++frames < SLOWEST * seconds && seconds > 2;
    if (sways) {
      const turn = (2 * Math.PI * seconds) / PERIOD;
      stand(!isWhole ? 0 : stutters ? rest : rest ? rest * (0.7 + 0.3 * Math.cos(turn)) : SWAY * Math.sin(turn), isWhole ? rest : 0);
      if (stutters) began = null;
    }
    orbit.update();
    settle();
    const sky = dots ? null : drawnSky();
    if (!inside) {
      shown.light(Math.min(1, Math.hypot(...angles()) / SWAY));
      renderer.render({ scene: shown.floor, camera, clear: !sky });
    }
    renderer.render({ scene: dots ? shown.points : layer || !isBacked ? shown.surface : shown.whole(), camera, clear: inside });
    if (isBacked && layer && !dots) for (const scene of layer) renderer.render({ scene, camera, clear: false });
    drew();
    const now = [...camera.position, ...orbit.target].map((each) => each.toFixed(5)).join();
    drawing = now !== before || !isWhole || performance.now() < until || began !== null && sways;
    before = now;
    if (drawing) requestAnimationFrame(draw);
    else if (began === null) rested();
  }
  function wake() {
    until = performance.now() + 100;
    if (!drawing) { drawing = true; requestAnimationFrame(draw); }
  }
  function stand(angle, up) {
    camera.position.set(...turned(angle, TILT * Math.abs(up)));
    camera.position.add(orbit.target);
    orbit.forcePosition();
  }
  // At the photograph's own camera, whose middle is looked at; the first view goes on from there.
  function reset({ isBeginning = false } = {}) {
    orbit.target.set(0, 0, inside ? -STEP : -1);
    camera.position.set(0, 0, 0);
    orbit.forcePosition();
    frames = 0;
    isFirst = isBeginning && rest !== 0;
    began = inside || (rest && !isBeginning) || matchMedia("(prefers-reduced-motion: reduce)").matches ? null : performance.now();
    wake();
  }
  // How far to the right and up the camera is turned.
  function angles() {
    const offset = camera.position.clone().sub(orbit.target);
    return [Math.atan2(offset[0], offset[2]), Math.asin(clamp(-1, offset[1] / offset.len(), 1))];
  }
  function aim(right, up) {
    const offset = camera.position.clone().sub(orbit.target), far = offset.len();
    offset.set(...turned(right, up)).multiply(far);
    camera.position.copy(orbit.target).add(offset);
    orbit.forcePosition();
  }
  function turn(right, up) {
    const end = most === FREE ? FREE : most + GIVE, held = (angle) => clamp(-end, angle, end);
    const way = inside ? -1 : 1, now = angles(), azimuth = now[0] + way * right;
    aim(most === FREE ? azimuth : held(azimuth), held(now[1] + way * up));
    wake();
  }
  // A turn beyond where it is held goes back, softly.
  function settle() {
    const now = angles(), beyond = now.map((angle) => Math.sign(angle) * Math.max(0, Math.abs(angle) - most));
    if (most === FREE || Math.hypot(...beyond) < 1e-3) return;
    aim(...now.map((angle, axis) => angle - BACK * beyond[axis]));
    camera.lookAt(orbit.target);
  }
  function fit() {
    // The library writes a size in pixels into the style, which is taken back to stay fluid.
    canvas.style.width = canvas.style.height = "";
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    [halfWidth, halfHeight] = [width / 2, height / 2];
    renderer.setSize(width, height);
    canvas.style.width = canvas.style.height = "";
    camera.perspective({ aspect: width / height, fov: angle(bounds, width / height) });
    wake();
  }
  // Who stands inside comes no nearer; what is seen gets larger.
  function zoom(factor) {
    bounds.across = bounds.up = clamp(0.15, bounds.up * factor, 1.5);
    fit();
  }
  // Where a point in space lies on the canvas, and how far before the camera.
  const spot = [0, 0, 0];
  function project(a, b, c) {
    const m = camera.projectionViewMatrix, w = m[3] * a + m[7] * b + m[11] * c + m[15];
    spot[0] = ((m[0] * a + m[4] * b + m[8] * c + m[12]) / w + 1) * halfWidth;
    spot[1] = (1 - (m[1] * a + m[5] * b + m[9] * c + m[13]) / w) * halfHeight;
    spot[2] = w;
    return spot;
  }
  // The point that is seen within some pixels of a place on the canvas, by its number; -1 without one.
  function seen(x, y, within = 5) {
    const p = shown.position, close = [];
    let front = Infinity, least = Infinity, found = -1;
    for (const each of shown.used) {
      project(p[3 * each], p[3 * each + 1], p[3 * each + 2]);
      const far = spot[2], miss = (spot[0] - x) ** 2 + (spot[1] - y) ** 2;
      if (far <= 0 || !(miss < within ** 2)) continue;
      close.push({ each, far, miss });
      if (far < front) front = far;
    }
    // Of what belongs to the surface in front, what is nearest to that place.
    for (const { each, far, miss } of close) {
      if (far < 1.08 * front && miss < least) { least = miss; found = each; }
    }
    return found;
  }
  // Where a place of the photograph at a depth lies on the canvas; null behind the camera.
  function place(at, z) {
    const [a, b, c] = ray(at).map((axis) => (axis * z) / shown.unit), [x, y, w] = project(a, -b, -c);
    return z && w > 0 ? [x, y] : null;
  }
  // The place of the photograph that is seen there; null where there is no surface.
  function find(x, y) {
    const at = seen(x, y, 12);
    return at < 0 ? null : [(form.first_column + (at % form.columns) * form.step) % form.width,
      form.first_row + Math.floor(at / form.columns) * form.step];
  }
  hold(inside ? FREE : shown.held);
  signal.addEventListener("abort", () => {
    orbit.remove();
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  });
  return {
    camera, fit, wake, hold, reset, turn, place, find, zoom, inside, held: shown.held,
    depthAt: (x, y) => data.depth[seen(x, y)] ?? 0,
    // For glasses of red and cyan: the surface from two eyes, drawn on a canvas of this size. Both look
    // straight ahead, and their pictures are shifted until the usual depth is at one place in both.
    anaglyph(picture) {
      const pose = [...camera.position], { clientWidth: width, clientHeight: height } = canvas;
      const ratio = picture.width / picture.height, hides = [...orbit.target];
      layer ??= shown.backing();
      shown.light(0);
      renderer.setSize(picture.width / renderer.dpr, picture.height / renderer.dpr);
      camera.perspective({ aspect: ratio, fov: angle(reach(shown.position, shown.used, inside, 0), ratio) / 1.06 });
      camera.position.set(0, 0, 0);
      camera.lookAt([0, 0, -1]);
      for (const [eye, mask] of [[-EYES / 2, [true, false, false, true]], [EYES / 2, [false, true, true, true]]]) {
        camera.position.x = eye;
        camera.projectionMatrix[8] = -eye * camera.projectionMatrix[0];
        gl.colorMask(...mask);
        const sky = drawnSky();
        renderer.render({ scene: shown.surface, camera, clear: !sky });
        for (const scene of layer) renderer.render({ scene, camera, clear: false });
      }
      gl.colorMask(true, true, true, true);
      picture.getContext("2d").drawImage(canvas, 0, 0, picture.width, picture.height);
      renderer.setSize(width, height);
      camera.position.set(...pose);
      orbit.target.set(...hides);
      orbit.forcePosition();
      fit();
    },
    // Turns once to the right, to the left and back, in so many seconds.
    swing(seconds) {
      began = null;
      // Where a turn is held it would go back by itself, and end elsewhere.
      const start = performance.now(), limit = most;
      let last = 0;
      most = FREE;
      return new Promise((done) => {
        (function on() {
          const share = Math.min(1, (performance.now() - start) / 1000 / seconds), angle = SWAY * Math.sin(2 * Math.PI * share);
          turn(angle - last, 0);
          last = angle;
          if (share === 1) most = limit;
          requestAnimationFrame(share < 1 ? on : () => requestAnimationFrame(done)); // the last one is drawn too
        })();
      });
    },
    whenDrawn(act) { drew = act; },
    whenRested(act) { rested = act; },
    // Camera, what it looks at, and how much is seen from inside; null at the photograph's own camera.
    get pose() {
      const now = [...camera.position, ...orbit.target, inside ? bounds.up : 0];
      const [x, y, z] = inside ? [0, 0, 0] : turned(rest, TILT * Math.abs(rest)), first = [x, y, inside ? 0 : z - 1, 0, 0, inside ? -STEP : -1, inside ? WINDOW.up : 0];
      return isFirst || began !== null || now.every((each, at) => Math.abs(each - first[at]) < 1e-4) ? null : now;
    },
    set pose(next) {
      [began, frames, isFirst] = [null, 1, false];
      camera.position.set(...next.slice(0, 3));
      orbit.target.set(...next.slice(3, 6));
      if (inside && next[6]) bounds.across = bounds.up = clamp(0.15, next[6], 1.5);
      orbit.forcePosition();
      fit();
    },
    get orbit() { return orbit; },
    still() { [began, isFirst] = [null, false]; },
    // Where the photograph lies on the canvas at its own camera [px].
    get box() {
      const pixels = halfHeight / Math.tan((camera.fov * Math.PI) / 360), { width, height, fx, fy, cx, cy } = form;
      return { left: halfWidth - (pixels * (cx + 0.5)) / fx, top: halfHeight - (pixels * (cy + 0.5)) / fy, width: (pixels * width) / fx, height: (pixels * height) / fy };
    },
    back(chosen) {
      isBacked = chosen;
      wake();
    },
    look(name) {
      dots = name === "points";
      shown.uniforms.shape.value = name === "shape" || !part("photo") ? 1 : 0;
      shown.uniforms.size.value = 2 * renderer.dpr;
      wake();
    },
  };
}

function switches(canvas, controls, shown) {
  const choice = (id, words, act, checked = false) => {
    const box = made("input", { type: "checkbox", id, checked });
    box.addEventListener("change", () => act(box.checked));
    part("surface-choices").append(made("label", {}, box, words));
    return box;
  };
  if (!shown.inside) { // From where the camera stood nothing is hidden.
    choice("free", "Turn freely", (isFree) => {
      shown.hold(isFree ? FREE : shown.held);
      shown.turn(0, 0);
    });
    choice("backing", "Fill behind edges", shown.back, true);
    shown.back(true);
  }
  if (!document.fullscreenEnabled) return;
  const button = made("button", { type: "button", id: "fullscreen", textContent: "⤢", title: "Fullscreen", ariaLabel: "Fullscreen" });
  button.addEventListener("click", () => canvas.parentElement.requestFullscreen());
  controls.append(button);
}

function show(data, form) {
  const canvas = part("surface"), controls = part("surface-controls");
  for (const each of [canvas, controls]) each.hidden = false;
  const shown = view(canvas, data, form), help = part("surface-help");
  if (shown.inside) {
    canvas.setAttribute("aria-label", canvas.getAttribute("aria-label").replace(help.textContent, AROUND));
    help.textContent = AROUND;
  }
  touch(canvas, shown);
  wheel(canvas, shown);
  switches(canvas, controls, shown);
  part("camera").addEventListener("click", () => shown.reset());
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("change", (event) => {
    if (event.target.name === "look") shown.look(event.target.value);
  });
  canvas.addEventListener("keydown", (event) => { shown.still(); press(event, shown); });
  canvas.addEventListener("pointerdown", shown.still);
  for (const each of ["wheel", "touchstart", "touchmove"]) {
    canvas.addEventListener(each, shown.wake, { passive: true });
  }
  addEventListener("pointermove", (event) => { if (event.buttons) shown.wake(); }, { signal: life.signal });
  canvas.addEventListener("webglcontextlost", () => {
    part("surface-state").textContent = "The graphics card stopped drawing the surface. Reload the page.";
    part("surface-state").hidden = false;
  }, { signal: life.signal });
  // Which look is chosen, whether it turns freely, and whether nothing is filled behind edges.
  const boxes = ["free", "backing"].map(part), looks = [...controls.elements.look];
  Object.assign(shown, {
    setPose(next) { shown.pose = next; },
    setLook([look, ...checked]) {
      looks[look].checked = true;
      shown.look(looks[look].value);
      boxes.forEach((box, at) => {
        if (!box) return;
        box.checked = Boolean(checked[at]) === (box.id === "free");
        box.dispatchEvent(new Event("change"));
      });
    },
  });
  Object.defineProperty(shown, "looks", { get: () => [looks.findIndex(({ checked }) => checked), ...boxes.map((box) => Number(box ? box.checked === (box.id === "free") : 0))] });
  new ResizeObserver(shown.fit).observe(canvas);
  shown.fit();
  shown.look(controls.elements.look.value);
  shown.reset({ isBeginning: true });
  part("surface-state").hidden = true;
  return shown;
}
