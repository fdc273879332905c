import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { endpointOf } from '../../src/address/endpoint.js';
import { configure } from '../../src/device/configure.js';
import { Device } from '../../src/device/device.js';
import type { PeerSettings } from '../../src/device/settings.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { Slab } from '../../src/slab/slab.js';
import { muteDriver } from '../support/mutedriver.js';

const PEERS = 10_000;
/** What an idle peer may keep, bytes, and what all of them may take to be made, ms of CPU time. */
const BYTES_MAX = 8 * 1024;
const CPU_MAX = 2_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that live on after everything else has been collected. */
function retained(): number {
  collect();
  collect();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

const driver = muteDriver(
  { slab: Slab.plain(4096), reserve: () => 0, commit: () => undefined },
  { random: (out) => void crypto.getRandomValues(out), wallTime: () => 0 },
);

test.each(['udp', 'tcp'] as const)(`${PEERS} peers over %s: what they keep and what they take`, (transport) => {
  const device = new Device(driver, nativeCrypto, { mtu: 1420 });
  configure(device, 0, { privateKey: new Uint8Array(32).fill(1), transport, peers: [] });
  const peers = Array.from({ length: PEERS }, (_, i): PeerSettings => ({
    publicKey: crypto.getRandomValues(new Uint8Array(32)),
    endpoint: endpointOf(Uint8Array.of(10, 1, i >> 8, i), 51820),
    persistentKeepalive: 0,
    allowedIps: [{ prefix: { bytes: Uint8Array.of(172, 16, i >> 8, i), length: 32 } }],
  }));
  const before = retained();
  const start = process.cpuUsage();
  configure(device, 1, { peers });
  const { user, system } = process.cpuUsage(start);
  const [bytes, ms] = [(retained() - before) / PEERS, (user + system) / 1000];
  process.stderr.write(
    `${PEERS} peers over ${transport}: ${bytes.toFixed(0)} bytes each, made in ${ms.toFixed(0)} ms of CPU time\n`,
  );
  expect(device.peers.size).toBe(PEERS);
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThanOrEqual(BYTES_MAX);
  expect(ms).toBeLessThanOrEqual(CPU_MAX);
});
