"use strict";
// Keys, fingers and the wheel on the surface.

function press(event, shown) {
  const { orbit, camera } = shown;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const arrow = arrows[event.key], zooms = { "+": 1 / 1.15, "=": 1 / 1.15, "-": 1.15 };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "0" || event.key === "Home") shown.reset();
  if (event.key in zooms && shown.inside) shown.zoom(zooms[event.key]);
  else if (event.key in zooms) {
    const offset = camera.position.clone().sub(orbit.target).multiply(zooms[event.key]);
    camera.position.copy(orbit.target).add(offset);
    orbit.forcePosition();
  } else if (arrow && event.shiftKey) {
    const matrix = camera.worldMatrix, step = 0.06 * camera.position.distance(orbit.target);
    for (let axis = 0; axis < 3; axis++) {
      const shift = step * (arrow[0] * matrix[axis] + arrow[1] * matrix[4 + axis]);
      orbit.target[axis] -= shift;
      camera.position[axis] -= shift;
    }
    orbit.forcePosition();
  } else if (arrow) shown.turn(0.12 * arrow[0], 0.12 * arrow[1]);
  else if (event.key !== "0" && event.key !== "Home") return;
  event.preventDefault();
  shown.wake();
}

// What is caught here, before the library, it does not see: one finger turns if it begins sideways; up and down it scrolls the page, as everywhere else.
function touch(canvas, shown) {
  let last = null, turns = null;
  const stop = (event) => event.stopImmediatePropagation();
  canvas.addEventListener("touchstart", (event) => {
    [last, turns] = [event.touches.length === 1 ? event.touches[0] : null, null];
    if (last) stop(event);
  }, { capture: true });
  canvas.addEventListener("touchmove", (event) => {
    if (event.touches.length !== 1) return;
    stop(event);
    // One of two fingers is lifted: the other goes on from where it is.
    if (!last) { [last, turns] = [event.touches[0], true]; return; }
    const finger = event.touches[0], dx = finger.pageX - last.pageX, dy = finger.pageY - last.pageY;
    turns ??= document.fullscreenElement?.contains(canvas) || Math.abs(dx) >= Math.abs(dy);
    if (!turns) return;
    if (event.cancelable) event.preventDefault();
    last = finger;
    shown.turn((-Math.PI * dx) / canvas.clientHeight, (Math.PI * dy) / canvas.clientHeight);
  }, { capture: true, passive: false });
}

// The wheel belongs to the page until somebody clicks on the surface.
function wheel(canvas, shown) {
  let chosen = false;
  addEventListener("pointerdown", (event) => { chosen = event.target === canvas; }, { signal: life.signal });
  canvas.addEventListener("wheel", (event) => {
    if (chosen || event.ctrlKey || document.fullscreenElement?.contains(canvas)) {
      shown.still();
      if (shown.inside) shown.zoom(Math.exp(event.deltaY / 1000));
    } else event.stopImmediatePropagation();
  }, { capture: true, passive: false });
}
