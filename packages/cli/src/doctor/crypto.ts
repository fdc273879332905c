import { TAG_LENGTH, type Crypto } from '@wirestream/core/noise/crypto';
import { ok, type Finding } from './finding.js';
import type { Native } from './system.js';

/** A full packet of a tunnel with the usual MTU. */
const PACKET = 1420;
/** How long each provider is measured, and before that how long it may warm up, ms of processor time: a busy machine is no reason for bad marks. */
const SPAN = 60;
const WARM_UP = 60;
/** Packets between two looks at the clock. */
const BATCH = 64;

/** Which provider a tunnel would use and why, and how fast each one that works is. */
export function cryptoFinding(native: Native): Finding {
  const { crypto, why } = native.chooseCrypto();
  const speeds = native.providers.map((provider) => ({ name: provider.name, mbytes: speed(provider, native) }));
  const list = speeds
    .filter(({ mbytes }) => mbytes !== null)
    .map(({ name, mbytes }) => `${name} ${mbytes!.toFixed(0)} MB/s`)
    .join(', ');
  return ok('crypto', `cryptography: ${why}. Sealing ${PACKET}-byte packets: ${list}`, {
    inUse: crypto.name,
    why,
    sealMBytesPerSecond: Object.fromEntries(speeds.map(({ name, mbytes }) => [name, mbytes])),
  });
}

/** Sealing, MB/s on one thread; null when the provider does not work here. */
function speed(crypto: Crypto, native: Native): number | null {
  try {
    const cipher = crypto.cipher(new Uint8Array(32).fill(1));
    const source = native.makeSlab(PACKET);
    const sealed = native.makeSlab(PACKET + TAG_LENGTH);
    let counter = 0;
    const sealFor = (ms: number): number => {
      const start = process.cpuUsage();
      const spent = (): number => {
        const { user, system } = process.cpuUsage(start);
        return (user + system) / 1000;
      };
      let count = 0;
      while (spent() < ms) {
        for (let i = 0; i < BATCH; i++) cipher.seal(0, counter++, source, 0, PACKET, sealed, 0);
        count += BATCH;
      }
      return (count * PACKET) / spent() / 1000;
    };
    sealFor(WARM_UP);
    const mbytes = sealFor(SPAN);
    cipher.wipe();
    return Math.round(mbytes);
  } catch {
    return null;
  }
}
