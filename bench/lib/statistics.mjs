/** Order statistics. Empty input gives null, so that what was not measured is never mistaken for zero. */

/** The value below which the share `p` (0 to 1) of the values lies, interpolated between neighbours. */
export function percentile(values, p) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * p;
  const low = sorted[Math.floor(at)];
  return low + (sorted[Math.ceil(at)] - low) * (at - Math.floor(at));
}

export const median = (values) => percentile(values, 0.5);

/** Median, extremes and the values themselves, in the order they were measured; nulls are left out. */
export function summary(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length === 0) return null;
  return { median: median(known), min: Math.min(...known), max: Math.max(...known), values: known };
}

/** p50, p90 and p99, the largest, and how many there were. */
export function percentiles(values) {
  if (values.length === 0) return null;
  const [p50, p90, p99] = [0.5, 0.9, 0.99].map((p) => percentile(values, p));
  return { p50, p90, p99, max: Math.max(...values), count: values.length };
}
