// Random numbers that are the same as in Python, so that both find the same planes.

const WORD = (1n << 64n) - 1n;
const DOUBLE_WORD = (1n << 128n) - 1n;
const HALF_WORD = 0xffffffffn;
// Constants of PCG64, and its state after numpy.random.default_rng(0).
const MULTIPLIER = (2549297995355413924n << 64n) | 4865540595714422341n;
const INCREMENT = 87136372517582989555478159403783844777n;
const FIRST_STATE = 35399562948360463058890781895381311971n;

/**
 * A generator of whole numbers from 0 to below a limit, as numpy.random.default_rng(0).integers gives them.
 * @returns {(limit: number) => number}
 */
export function randomIntegers() {
  const next32 = randomHalfWords();
  return (limit) => {
    // Lemire's method: products in the first, incomplete interval are drawn again.
    const count = BigInt(limit);
    const incomplete = (0x100000000n - count) % count;
    for (;;) {
      const product = next32() * count;
      if ((product & HALF_WORD) >= incomplete) return Number(product >> 32n);
    }
  };
}

// Each word of PCG64 gives two numbers of 32 bits, the lower half first.
function randomHalfWords() {
  let state = FIRST_STATE;
  let upperHalf = null;
  return () => {
    if (upperHalf !== null) {
      const half = upperHalf;
      upperHalf = null;
      return half;
    }
    state = (state * MULTIPLIER + INCREMENT) & DOUBLE_WORD;
    const folded = (state >> 64n) ^ (state & WORD);
    const rotation = state >> 122n;
    const word = ((folded >> rotation) | (folded << (64n - rotation))) & WORD;
    upperHalf = word >> 32n;
    return word & HALF_WORD;
  };
}
