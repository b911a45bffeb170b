"use strict";
// Without this script the pictures stand side by side and the facts below; it adds the slider over
// the photograph, the depth under the pointer, and the surface.
const part = (id) => document.getElementById(id);

function slide(pair) {
  const stage = document.createElement("div"), slider = document.createElement("input");
  stage.className = "stage";
  stage.append(part("photo"), part("depth"));
  for (const [side, words] of [["left", "Photograph"], ["right", "Depth"]]) {
    const label = document.createElement("span");
    label.className = side;
    label.textContent = words;
    stage.append(label);
  }
  slider.type = "range";
  slider.step = "0.5";
  slider.setAttribute("aria-label", "Photograph left of the line, depth right of it");
  slider.addEventListener("input", () => stage.style.setProperty("--cut", `${slider.value}%`));
  stage.append(slider);
  pair.replaceWith(stage);
  return stage;
}

async function inflate(text) {
  const packed = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Depth on the lattice, 0 where there is none; in x right, y up, z backwards, as WebGL has it.
function unpack(bytes, form) {
  const count = form.rows * form.columns, depth = new Float32Array(count);
  for (let row = 0, at = 0; row < form.rows; row++) {
    for (let column = 0, code = 0; column < form.columns; column++, at++) {
      code = (code + bytes[at] * 256 + bytes[count + at]) & 65535;
      depth[at] = code ? Math.exp(form.nearest + (code - 1) * form.spacing) : 0;
    }
  }
  return { depth, faces: bytes.subarray(2 * count) };
}

function vertices(depth, form, unit) {
  const position = new Float32Array(3 * depth.length), uv = new Float32Array(2 * depth.length);
  depth.forEach((z, at) => {
    const u = form.first_column + (at % form.columns) * form.step;
    const v = form.first_row + Math.floor(at / form.columns) * form.step;
    position[3 * at] = ((u - form.cx) / form.fx) * z / unit;
    position[3 * at + 1] = -((v - form.cy) / form.fy) * z / unit;
    position[3 * at + 2] = -z / unit;
    // The texture's (0, 0) is the outer corner of the bottom-left pixel, ours a pixel's centre.
    uv[2 * at] = (u + 0.5) / form.width;
    uv[2 * at + 1] = 1 - (v + 0.5) / form.height;
  });
  return { position, uv };
}

function triangles(faces, form) {
  const index = [], across = form.columns - 1;
  faces.forEach((bits, at) => {
    const a = Math.floor(at / across) * form.columns + (at % across);
    const b = a + 1, c = a + form.columns, d = c + 1, falling = bits & 1;
    if (bits & 2) index.push(a, c, falling ? d : b);
    if (bits & 4) index.push(b, falling ? a : c, d);
  });
  return new Uint32Array(index);
}

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
uniform sampler2D picture;
uniform float shape;
out vec4 colour;
void main() {
  if (shape < 0.5) {
    colour = vec4(texture(picture, place).rgb, 1.0);
  } else {
    vec3 normal = normalize(cross(dFdx(seen), dFdy(seen)));
    float light = abs(dot(normal, normalize(vec3(-0.35, 0.5, 0.8))));
    colour = vec4(vec3(0.86, 0.84, 0.80) * (0.22 + 0.78 * light), 1.0);
  }
}`;

function model(gl, data, form) {
  const { Geometry, Mesh, Program, Texture } = OGL;
  const index = triangles(data.faces, form), used = new Uint32Array(new Set(index));
  const logarithm = used.reduce((sum, at) => sum + Math.log(data.depth[at]), 0) / used.length;
  const { position, uv } = vertices(data.depth, form, Math.exp(logarithm));
  const photo = part("photo"), grey = new Uint8Array([180, 180, 180, 255]);
  const picture = photo
    ? new Texture(gl, { image: photo, wrapS: gl.CLAMP_TO_EDGE, wrapT: gl.CLAMP_TO_EDGE })
    : new Texture(gl, { image: grey, width: 1, height: 1, generateMipmaps: false });
  const uniforms = { picture: { value: picture }, shape: { value: photo ? 0 : 1 }, size: { value: 2 } };
  const program = new Program(gl, { vertex: VERTEX, fragment: FRAGMENT, uniforms, cullFace: false });
  const attributes = { position: { size: 3, data: position }, uv: { size: 2, data: uv } };
  const made = (numbers, mode) =>
    new Mesh(gl, { geometry: new Geometry(gl, { ...attributes, index: { data: numbers } }), program, mode,
      frustumCulled: false });
  const middle = [0, 1, 2].map((axis) =>
    used.reduce((sum, at) => sum + position[3 * at + axis], 0) / used.length);
  return { uniforms, middle, surface: made(index, gl.TRIANGLES), points: made(used, gl.POINTS) };
}

// The angle that the photograph's camera takes in from top to bottom, in a window of this shape.
function angle(form, aspect) {
  const up = Math.max(form.cy + 0.5, form.height - 0.5 - form.cy) / form.fy;
  const across = Math.max(form.cx + 0.5, form.width - 0.5 - form.cx) / form.fx;
  return (2 * Math.atan(Math.max(up, across / aspect)) * 180) / Math.PI;
}

// Unit vector from what is looked at to a camera, turned right and up.
const turned = (right, up) =>
  [Math.sin(right) * Math.cos(up), Math.sin(up), Math.cos(right) * Math.cos(up)];

function view(canvas, data, form) {
  const renderer = new OGL.Renderer({ canvas, dpr: Math.min(devicePixelRatio, 2), alpha: true,
    antialias: true, webgl: 2 });
  const { gl } = renderer, shown = model(gl, data, form);
  const camera = new OGL.Camera(gl, { near: 0.01, far: 1000, fov: 45 });
  camera.position.set(0, 0, 1);
  const orbit = new OGL.Orbit(camera, { element: canvas, rotateSpeed: 0.5, panSpeed: 0.5, ease: 0.35,
    inertia: 0.6, minDistance: 0.02, maxDistance: 60 });
  let until = 0, drawing = false, dots = false, before = "";
  // Only while something moves: a page that lies open costs nothing.
  function draw() {
    orbit.update();
    renderer.render({ scene: dots ? shown.points : shown.surface, camera });
    const now = [...camera.position, ...orbit.target].map((each) => each.toFixed(5)).join();
    drawing = now !== before || performance.now() < until;
    before = now;
    if (drawing) requestAnimationFrame(draw);
  }
  function wake() {
    until = performance.now() + 100;
    if (!drawing) { drawing = true; requestAnimationFrame(draw); }
  }
  function stand(target, direction, distance) {
    orbit.target.set(...target);
    camera.position.set(...target.map((each, axis) => each + direction[axis] * distance));
    orbit.forcePosition();
    wake();
  }
  function fit() {
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    // The library writes a size in pixels into the style, which is taken back to stay fluid.
    renderer.setSize(width, height);
    canvas.style.width = canvas.style.height = "";
    camera.perspective({ aspect: width / height, fov: angle(form, width / height) });
    wake();
  }
  return {
    orbit, camera, stand, fit, wake, middle: shown.middle,
    look(name) {
      dots = name === "points";
      shown.uniforms.shape.value = name === "shape" || !part("photo") ? 1 : 0;
      shown.uniforms.size.value = 2 * renderer.dpr;
      wake();
    },
  };
}

function press(event, shown, reset) {
  const { orbit, camera } = shown, offset = camera.position.clone().sub(orbit.target);
  const far = offset.len(), arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const arrow = arrows[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "0" || event.key === "Home") reset();
  else if (event.key === "+" || event.key === "=") offset.multiply(1 / 1.15);
  else if (event.key === "-") offset.multiply(1.15);
  else if (arrow && event.shiftKey) {
    const matrix = camera.worldMatrix, step = 0.06 * far;
    for (let axis = 0; axis < 3; axis++) {
      orbit.target[axis] -= step * (arrow[0] * matrix[axis] + arrow[1] * matrix[4 + axis]);
    }
  } else if (arrow) {
    const right = Math.atan2(offset[0], offset[2]) + 0.12 * arrow[0];
    const up = Math.asin(Math.max(-1, Math.min(1, offset[1] / far))) + 0.12 * arrow[1];
    offset.set(...turned(right, Math.max(-1.5, Math.min(1.5, up)))).multiply(far);
  } else return;
  event.preventDefault();
  if (event.key !== "0" && event.key !== "Home") {
    camera.position.copy(orbit.target).add(offset);
    orbit.forcePosition();
  }
  shown.wake();
}

function show(data, form) {
  const canvas = part("surface"), controls = part("surface-controls");
  for (const each of [canvas, controls, part("surface-help")]) each.hidden = false;
  const shown = view(canvas, data, form);
  const reset = () => shown.stand(shown.middle, turned(0.38, 0.16), 1.25);
  part("reset").addEventListener("click", reset);
  part("camera").addEventListener("click", () => shown.stand([0, 0, -1], [0, 0, 1], 1));
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("change", (event) => shown.look(event.target.value));
  canvas.addEventListener("keydown", (event) => press(event, shown, reset));
  for (const each of ["wheel", "touchstart", "touchmove"]) {
    canvas.addEventListener(each, shown.wake, { passive: true });
  }
  addEventListener("pointermove", (event) => { if (event.buttons) shown.wake(); });
  canvas.addEventListener("webglcontextlost", () => {
    part("surface-state").textContent = "The graphics card gave up on the surface: load the page anew.";
    part("surface-state").hidden = false;
  });
  new ResizeObserver(shown.fit).observe(canvas);
  shown.fit();
  shown.look(controls.elements.look.value);
  reset();
  part("surface-state").hidden = true;
}

// Depth where the pointer is, from the lattice of the surface.
function read(stage, data, form) {
  const unit = part("surface-unit").value === "metre" ? " m" : " (no unit)";
  stage.addEventListener("pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    const u = ((event.clientX - box.left) / box.width) * form.width - 0.5;
    const v = ((event.clientY - box.top) / box.height) * form.height - 0.5;
    const near = (pixel, first, count) =>
      Math.max(0, Math.min(count - 1, Math.round((pixel - first) / form.step)));
    const z = data.depth[near(v, form.first_row, form.rows) * form.columns
      + near(u, form.first_column, form.columns)];
    part("reading").value = `column ${Math.max(0, Math.round(u))}, row ${Math.max(0, Math.round(v))}: `
      + (z ? `${Number(z.toPrecision(3))}${unit}` : "no depth");
  });
}

async function start() {
  const pair = part("pair"), stage = pair && slide(pair), state = part("surface-state");
  if (!state) return;
  const form = JSON.parse(part("surface-form").textContent);
  try {
    state.textContent = "The surface is being made …";
    const data = unpack(await inflate(part("surface-data").textContent.trim()), form);
    if (stage) read(stage, data, form);
    if (part("photo")) await part("photo").decode();
    if (!document.createElement("canvas").getContext("webgl2")) {
      state.textContent = "This browser has no WebGL 2, so it cannot show the surface.";
    } else show(data, form);
  } catch (error) {
    state.textContent = `This browser cannot show the surface: ${error.message}`;
  }
}

start();
