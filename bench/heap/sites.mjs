/**
 * Where a sampled profile says memory was allocated (Chrome DevTools Protocol, HeapProfiler.SamplingHeapProfileNode): bytes by
 * function and place, the most first.
 * @returns {{ total: number, sites: { what: string, bytes: number }[] }}
 */
export function allocationSites(head) {
  const bytes = new Map();
  let total = 0;
  const visit = ({ callFrame, selfSize, children }) => {
    if (selfSize > 0) {
      const what = place(callFrame);
      bytes.set(what, (bytes.get(what) ?? 0) + selfSize);
      total += selfSize;
    }
    children.forEach(visit);
  };
  visit(head);
  const sites = [...bytes].map(([what, size]) => ({ what, bytes: size })).sort((a, b) => b.bytes - a.bytes);
  return { total, sites };
}

function place({ functionName, url, lineNumber }) {
  const file = url.replace(/^.*\/packages\//, '').replace('/dist/', '/');
  return `${functionName || '(anonymous)'} ${file === '' ? '' : `${file}:${lineNumber + 1}`}`.trim();
}
