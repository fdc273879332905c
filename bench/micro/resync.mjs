import { randomFillSync } from 'node:crypto';
import { RecordReader } from '@wirestream/core/stream/reader';
import { STREAM, walk } from './stream.mjs';
import { rate, timed } from './timer.mjs';

export const title = 'resynchronisation';

/** What may stand where records should. The second and third are made to cost as much as possible. */
const GARBAGE = {
  random: ['random bytes, as ciphertext is', (bytes) => randomFillSync(bytes)],
  zeros: ['nothing but zeros', (bytes) => bytes],
  almost: [
    'headers that are wrong in the last byte only',
    (bytes) => bytes.map((_, i) => [0, 0, 5, 0xb4, 0, 0, 0, 0][i & 7]),
  ],
};

export function run(options) {
  return Object.entries(GARBAGE).map(([id, [what, make]]) => {
    const bytes = make(new Uint8Array(STREAM));
    const seconds = timed((times) => {
      while (times-- > 0) walk(new RecordReader(), bytes);
    }, options);
    return { id: `resync-${id}`, ...rate(what, 'MB/s', bytes.length, seconds, 1e6) };
  });
}
