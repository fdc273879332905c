import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { serve } from './iperf.mjs';
import { joinNamespaces } from './link/link.mjs';
import { answers } from './ping.mjs';
import { until } from './run.mjs';

/**
 * Sets contestants up side by side, each between two namespaces of its own that are joined by a link of its own. All stay up, and idle while
 * others are measured.
 *
 * @param {import('./lab.mjs').Lab} lab
 * @param {object[]} contestants from contestants/
 * @param {import('./link/shape.mjs').Shape | null} shape of every link
 * @param {{ netem: boolean, queue: number, seed: number, offload: boolean, env?: object, say: (line: string) => void }} options
 * @returns {Promise<{ entries: Entry[], close: () => Promise<void> }>}
 *
 * @typedef {object} Entry
 * @property {object} contestant
 * @property {import('./lab.mjs').Namespace} a sends
 * @property {import('./lab.mjs').Namespace} b receives
 * @property {string} address of b, inside the tunnel
 * @property {{ a: number[], b: number[] }} pids what carries the tunnel, at each end
 */
export async function openArena(lab, contestants, shape, { say, ...options }) {
  const entries = [];
  for (const contestant of contestants) {
    const { id, address } = contestant;
    const [a, b] = ['a', 'b'].map((end) => lab.namespace(`${arenas}-${id}-${end}`));
    const pair = { a, b };
    const folder = path.join(lab.folder, `${arenas}-${id}`);
    mkdirSync(folder);
    await joinNamespaces(lab, pair, shape, { ...options, mtu: contestant.linkMtu });
    await contestant.up(pair, { ...options, lab, folder });
    await until(`${id} to carry a ping`, () => answers(a, address), 30_000);
    const pids = { a: a.pids(), b: b.pids() };
    await serve(b, address);
    entries.push({ contestant, a, b, address, pids, folder });
    say(`  ${id} is up`);
  }
  arenas++;
  const close = () => lab.remove(entries.flatMap(({ a, b }) => [a, b]));
  return { entries, close };
}

let arenas = 0;
