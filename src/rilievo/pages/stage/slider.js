"use strict";
// Pictures under one slider: the first left of a line, one of the others right of it.

function made(name, properties, ...children) {
  const found = Object.assign(document.createElement(name), properties);
  found.append(...children);
  return found;
}

// `pictures` are { title, picture }, perhaps with `draw`, which draws one when it is chosen. `choose` shows another one right of the line, `cut` moves the line.
function slider([first, ...others]) {
  const left = made("span", { className: "left", textContent: first.title }), right = made("span", { className: "right" });
  const line = made("input", { type: "range", step: "0.5" });
  const stage = made("div", { className: "stage" }, first.picture);
  // A name stands only where enough of its picture is seen.
  const named = (share) => { [left.hidden, right.hidden] = [share < 20, share > 80]; };
  function cut(share) {
    stage.style.setProperty("--cut", `${line.value = share}%`);
    named(share);
  }
  function choose(title) {
    for (const each of others) {
      each.picture.hidden = each.title !== title;
      if (each.title === title) each.draw?.(each.picture);
    }
    right.textContent = title;
    line.setAttribute("aria-label", `${first.title} left of the line, ${title} right of it`);
  }
  function add(each) {
    each.picture.classList.add("upper");
    left.before(each.picture);
    if (!others.includes(each)) others.push(each);
  }
  stage.append(left, right, line);
  others.forEach(add);
  line.addEventListener("input", () => cut(line.value));
  // Safari moves a slider by its thumb alone; a finger goes sideways anywhere on the picture.
  line.addEventListener("pointermove", ({ pointerType, buttons, clientX }) => {
    if (pointerType !== "touch" || !buttons) return;
    const { left: start, width } = stage.getBoundingClientRect();
    cut(Math.max(0, Math.min(100, (100 * (clientX - start)) / width)));
  });
  line.addEventListener("pointerup", ({ pointerType }) => { if (pointerType === "touch") line.dispatchEvent(new Event("change")); });
  choose(others[0]?.title ?? "");
  return { stage, line, add, choose, cut, titles: () => others.map(({ title }) => title) };
}
