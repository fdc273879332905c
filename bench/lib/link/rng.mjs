/** A seeded sequence of numbers in [0, 1) (xorshift32, Marsaglia 2003): which packets are lost is the same in every run. */
export function sequence(seed) {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}
