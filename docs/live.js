// Puts the live page in the place of its picture, where a web server has it and the window is wide.
const link = document.querySelector("a.live");
const isServed = location.protocol.startsWith("http") && !navigator.connection?.saveData;
if (link !== null && isServed && matchMedia("(min-width: 60em)").matches) {
  fetch(link.href, { method: "HEAD" }).then((answer) => {
    if (!answer.ok) return;
    const page = document.createElement("iframe");
    Object.assign(page, { className: "live", src: link.href, title: link.querySelector("img").alt });
    link.replaceWith(page);
  }, () => {}); // without it the picture stays
}
