import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import type { Tunnel } from './tunnel.js';
import { changes } from './watch.js';

/** Between two looks at the device, ms. */
const LOOK_EVERY = 1000;

/** Tells what happens to a tunnel, a line at a time. @returns what stops it */
export function tellChanges(tunnel: Pick<Tunnel, 'snapshot'>, say: (line: string) => void): () => void {
  let before: DeviceSnapshot | null = null;
  const look = async () => {
    const after = await tunnel.snapshot();
    for (const line of changes(before, after)) say(`${new Date().toISOString()} ${line}`);
    before = after;
  };
  // A device that is ending has nothing more to tell.
  const lookQuietly = () => void look().catch(() => undefined);
  lookQuietly();
  const timer = setInterval(lookQuietly, LOOK_EVERY);
  return () => clearInterval(timer);
}
