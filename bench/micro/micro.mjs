import * as allowedips from './allowedips.mjs';
import * as cipher from './cipher.mjs';
import * as handshake from './handshake.mjs';
import * as offload from './offload.mjs';
import * as reader from './reader.mjs';
import * as resync from './resync.mjs';

const ALL = [reader, resync, cipher, offload, allowedips, handshake];
/** Those that something was asked of. */
const JUDGED = [reader, resync];

/**
 * Runs them in this process.
 * @param {{ quick: boolean, say: (line: string) => void }} options
 * @returns {{ title: string, id: string, what: string, unit: string, median: number, min: number, max: number }[]}
 */
export function runMicro({ quick, say }, judgedOnly = false) {
  const out = [];
  for (const { title, run } of judgedOnly ? JUDGED : ALL) {
    say(`  ${title}`);
    out.push(...run({ quick }).map((result) => ({ title, ...result })));
  }
  return out;
}
