// Sizes beside files that are not written yet, as such files of such a photograph usually have them.

const told = (megabytes) => `\u2002${megabytes < 0.95 ? `${Math.max(10, Math.round(100 * megabytes) * 10)} kB` : `${megabytes.toFixed(megabytes < 9.5 ? 1 : 0)} MB`}`;

export function tellSizes({ width, height }) {
  let sum = 0;
  for (const each of document.querySelectorAll("[data-size]")) {
    const [least, pixel, most] = each.dataset.size.split(",").map(Number), megabytes = Math.min(most, least + (pixel * width * height) / 1e6);
    each.textContent = told(megabytes);
    if (each.closest("a[data-save]:not([hidden])")) sum += megabytes;
  }
  const all = document.querySelector("[data-save=all] .size");
  if (all) all.textContent = told(sum);
}
