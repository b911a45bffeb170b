// A network's answer at the photograph's size, by its card's rule: rilievo.models.resampling.preparation.

import { isDepth, positive, ruleOf } from "./preparation.js";
import { ANSWER_FILTERS, resizedField } from "./resample.js";

// Depth at the photograph's size by its network's rule, and where there is any; what is not valid
// blends into nothing, unless the rule blends it.
function depthMap(depth, valid, whole, kind, { space, filter, isBlended, nearest, farthest }, shift) {
  const [enter, leave] = { values: [(each) => each, (each) => each], inverse: [(each) => 1 / each, (each) => 1 / each],
    log: [(each) => Math.log(each - shift), (each) => Math.exp(each) + shift] }[space];
  const resized = (values, how = filter) => resizedField({ ...depth, values }, whole, null, ANSWER_FILTERS[how]);
  const limited = (values) => (farthest ? values.map((each) => Math.max(nearest, Math.min(farthest, each))) : values);
  const same = depth.height === whole[0] && depth.width === whole[1];
  const all = () => {
    if (same) return limited(depth.values);
    const large = resized(depth.values.map(enter));
    return limited((filter === "cubic" && isDepth(kind) ? positive(large, () => resized(depth.values, "linear")) : large).values.map(leave));
  };
  if (!valid) return { depth: all(), valid };
  const mean = filter === "cubic" ? "linear" : filter; // cubic weights of a part of the pixels may cancel
  const weight = resized(Float32Array.from(valid), mean).values, inside = Uint8Array.from(weight, (each) => (each > 0.5 ? 1 : 0));
  if (isBlended) {
    const values = all(), has = inside.map((each, at) => (each && Number.isFinite(values[at]) && (values[at] > 0 || !isDepth(kind)) ? 1 : 0));
    return { depth: values.map((each, at) => (has[at] ? each : 0)), valid: has };
  }
  const sums = resized(depth.values.map((each, at) => (valid[at] ? enter(each) : 0)), mean).values;
  return { depth: limited(sums.map((each, at) => (inside[at] ? leave(each / weight[at]) : 0))), valid: inside };
}

// A network's answer at the photograph's size: { depth, valid, sky, normal }, where `valid` is null if
// all pixels are, `sky` the mask of what sees no surface, null if the network does not tell, and
// `normal(axis)` one field of the normals, not yet of unit length; null without.
export function atPhotographSize({ depth, valid: seen, normals, sky = null, shift = 0 }, { height, width }, { kind, back }) {
  const rule = ruleOf(back), whole = [height, width], valid = seen?.every(Boolean) ? null : seen ?? null;
  return {
    ...depthMap(depth, valid, whole, kind, rule, shift),
    sky: sky && Uint8Array.from(resizedField(sky, whole).values, (each) => (each > 0.5 ? 1 : 0)),
    normal: normals && ((axis) => resizedField(normals[axis], whole, null, ANSWER_FILTERS[rule.filter]).values),
  };
}
