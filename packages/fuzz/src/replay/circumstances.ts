import type { Recording, Role } from './recording.js';
import type { StageOptions } from './stage.js';

/** What a recording needs that is not on the wire. */
export function circumstances({ name, startedAt, sidecar }: Recording, role: Role): Omit<StageOptions, 'crypto'> {
  if (name === 'tcp-persistent-keepalive' && role === 'A') return { keepalive: 1 };
  // The fault-injecting build prefixes even the first record, at which a stranger is no longer listened to (replay.test.ts has the test of that).
  if (name.endsWith('-garbage') && role === 'B') return { cleanStart: true };
  if (name === 'tcp-roam' && role === 'A') return { killed: true };
  if (name !== 'tcp-reconnect' || role !== 'B') return {};
  const down = (sidecar.events as { t: number; what: string }[]).filter(({ what }) => what === 'B wg0 down');
  return { killed: true, forgetsAt: down.map(({ t }) => t * 1000 - startedAt) };
}
