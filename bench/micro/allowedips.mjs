import { randomFillSync } from 'node:crypto';
import { AllowedIps } from '@wirestream/core/device/allowedips';
import { rate, timed } from './timer.mjs';

export const title = 'allowed IPs';

const LOOKUPS = 4096;

export function run(options) {
  return [1, 1000, 100_000].flatMap((count) => [4, 6].map((version) => measure(count, version, options)));
}

/** Random prefixes of different lengths, and addresses of which most fall into one. */
function measure(count, version, options) {
  const table = new AllowedIps();
  const size = version === 4 ? 4 : 16;
  const prefixes = Array.from({ length: count }, (_, i) => {
    const bytes = randomFillSync(new Uint8Array(size));
    const length = version === 4 ? 16 + (i % 17) : 32 + (i % 97);
    table.insert({ bytes, length }, i);
    return bytes;
  });
  const addresses = randomFillSync(new Uint8Array(LOOKUPS * size));
  for (let i = 0; i < LOOKUPS; i++) {
    // As many leading bytes as the shortest prefixes have.
    addresses.set(prefixes[i % count].subarray(0, size / 2), i * size);
  }
  const view = new DataView(addresses.buffer);
  let found = 0;
  const seconds = timed((times) => {
    for (let i = 0; i < times; i++) {
      const at = (i % LOOKUPS) * size;
      const owner = version === 4 ? table.lookup4(view.getInt32(at)) : table.lookup6(addresses, at);
      if (owner !== null) found++;
    }
  }, options);
  if (found === 0 && count > 1) throw new Error('no address was found');
  const id = `allowedips-${version}-${count}`;
  return { id, ...rate(`look-ups in ${count} IPv${version} prefixes`, 'million/s', 1, seconds, 1e6) };
}
