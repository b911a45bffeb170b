// Terms of measuring for one prediction: error ranges are wider where the network doubts the picture, or where
// anchored depth fits worse. See rilievo.measure.page_terms.

import { clamp, quantile } from "relief";

// The border left out on each side is the picture's side over this, because confidence is low there in good pictures too.
const BORDER_DIVISOR = 8;
// Number of pixels whose confidence is read, for speed.
const MAX_SAMPLED_PIXELS = 4000;
// Quantile of the confidence from which the doubt follows.
const DOUBT_QUANTILE = 0.1;

/**
 * Doubt of a picture: 1 minus the 10% quantile of the confidence in its central part.
 * @see rilievo.measure.expected_errors.picture_doubt
 * @param {Float32Array} confidence One number a pixel of the photograph, 0 to 1.
 * @param {Uint8Array | null} valid Mask of pixels with depth; null if all have depth.
 * @param {{height: number, width: number}} photo
 * @returns {number | null} Null if no pixel of the central part has depth.
 */
export function pictureDoubt(confidence, valid, { height, width }) {
  const top = Math.floor(height / BORDER_DIVISOR);
  const left = Math.floor(width / BORDER_DIVISOR);
  const centralPixels = (height - 2 * top) * (width - 2 * left);
  const step = Math.max(1, Math.floor(Math.sqrt(Math.floor(centralPixels / MAX_SAMPLED_PIXELS))));
  const sampled = [];
  for (let row = top; row < height - top; row += step) {
    for (let column = left; column < width - left; column += step) {
      const pixel = row * width + column;
      if (!valid || valid[pixel]) sampled.push(confidence[pixel]);
    }
  }
  return sampled.length ? 1 - quantile(sampled, DOUBT_QUANTILE) : null;
}

/**
 * Terms for a picture that the network doubts more, or less, than a typical one.
 * @param {any} terms Terms for a typical picture.
 * @param {{typical: number, least: number, most: number, factor: number}} scale How doubt becomes an error of depth.
 * @param {number | null} doubt Null if the network predicts no confidence.
 */
export function doubtedTerms(terms, scale, doubt) {
  if (doubt === null) return terms;
  const extra = logMeanLogError(doubt, scale) - logMeanLogError(scale.typical, scale);
  return widened(terms, extra, extra);
}

// Logarithm of the mean absolute log error of depth, as rilievo.measure.ranges.log_mean_log_error computes it.
function logMeanLogError(doubt, { least, most, factor }) {
  return Math.log(Math.log(factor) / -Math.log(clamp(least, doubt, most)));
}

/**
 * Terms for anchored depth.
 * @param {any} terms Terms for a perfect fit.
 * @param {{misfit: number, disorder: number, distance_misfit: number, distance_disorder: number,
 *   least_residual: number}} weights How much wider they become.
 * @param {{residual: number, rank_correlation: number}} anchoring
 */
export function anchoredTerms(terms, weights, anchoring) {
  const logResidual = Math.log(Math.max(anchoring.residual, weights.least_residual));
  const disorder = 1 - anchoring.rank_correlation;
  return widened(
    terms,
    weights.misfit * logResidual + weights.disorder * disorder,
    weights.distance_misfit * logResidual + weights.distance_disorder * disorder,
  );
}

// Terms whose log errors of lengths are exp(extra) times as large, and those of distances exp(extraOfDistances) times.
function widened(terms, extra, extraOfDistances) {
  const { distance } = terms;
  return {
    ...terms,
    own: terms.own + extra,
    known_length: terms.known_length + extra,
    distance: {
      ...distance,
      own: distance.own + extraOfDistances,
      known_point: distance.known_point + extraOfDistances,
      known_length: distance.known_length + extraOfDistances,
    },
  };
}
