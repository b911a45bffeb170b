// Whether a picture is a whole panorama, by its file (GPano) or its look: rilievo.calibration.camera_checks.

import { listOf, quantile } from "relief";

const LEAST_SIDE = 64, SAME_ASPECT = 0.02, CONTINUES = 2, VARIED = 8, CALM = 0.35;
const NAMED = /GPano:ProjectionType\W+equirectangular/, HEAD = 2 ** 16; // bytes in which a file says it

const mean = (list) => list.reduce((sum, each) => sum + each, 0) / list.length;

function spread(list) {
  const middle = mean(list);
  return Math.sqrt(mean(list.map((each) => (each - middle) ** 2)));
}

// As wide as two heights, edges that continue each other, and a calm first or last row.
export function isPanorama({ height, width, values }, file) {
  if (Math.min(height, width) < LEAST_SIDE || Math.abs(width / (2 * height) - 1) > SAME_ASPECT) return false;
  if (NAMED.test(new TextDecoder("latin1").decode(file.subarray(0, HEAD)))) return true;
  const step = Math.max(1, Math.floor(height / 512)), rows = listOf(Math.ceil(height / step), (each) => each * step);
  const grey = (row, column) => mean(values.subarray(4 * (row * width + column), 4 * (row * width + column) + 3));
  const down = (column) => rows.map((row) => grey(row, column));
  const across = (row) => spread(listOf(width, (column) => grey(row, column)));
  const apart = (left, right) => mean(left.map((each, at) => Math.abs(each - right[at])));
  const usual = listOf(33, (each) => Math.trunc(1 + (each * (width - 3)) / 32)).map((each) => apart(down(each), down(each + 1)));
  const left = down(0), right = down(width - 1);
  if (Math.min(spread(left), spread(right)) < VARIED || apart(left, right) > CONTINUES * Math.max(quantile(usual, 0.5), 0.5)) return false;
  const quarter = rows.length / 4, middle = rows.slice(Math.floor(quarter), -Math.ceil(quarter)).map(across);
  return Math.min(across(0), across(rows.at(-1))) < CALM * quantile(middle, 0.5);
}
