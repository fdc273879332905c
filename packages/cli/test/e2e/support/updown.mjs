/**
 * Brings a device up and down many times in one process and prints, as JSON, what the process holds early on and at the end.
 * `node --expose-gc updown.mjs linux|portable TIMES`, in a network namespace of its own.
 */
import { readdirSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { startEngine } from '@wirestream/core/linux/enginehost';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { PortableDriver } from '@wirestream/core/portable/portable';

const MTU = 1420;
const [driver, times] = [process.argv[2], Number(process.argv[3])];
/** Rounds after which whatever is made once has been made, compiled code included. */
const WARM = times / 2;

const key = (n) => new Uint8Array(32).fill(n);
const loopback = (port) => ({ family: 4, address: '127.0.0.1', port });
/** A peer that wants to be reached at once, so that each round has a dial, a handshake and timers to take down. */
const settings = (mine, theirs, endpoint) => ({
  privateKey: key(mine),
  transport: 'tcp',
  listenPort: 0,
  peers: [
    {
      publicKey: nativeCrypto.publicKey(key(theirs)),
      allowedIps: [],
      persistentKeepalive: 25,
      ...(endpoint ? { endpoint } : {}),
    },
  ],
});

async function portable(mine, theirs, endpoint) {
  const device = new PortableDriver({
    crypto: nativeCrypto,
    mtu: MTU,
    settings: settings(mine, theirs, endpoint),
    listenOn: ['127.0.0.1'],
    deliver: () => undefined,
  });
  await device.start();
  return { stop: () => device.stop(), snapshot: async () => device.snapshot(), port: device.device.listenPort };
}

async function linux(mine, theirs, endpoint) {
  const host = await startEngine({
    name: 'updown%d',
    offload: true,
    mtu: MTU,
    settings: settings(mine, theirs, endpoint),
  });
  return { stop: () => host.stop(), snapshot: () => host.snapshot(), port: host.info.listenPort };
}

const handshaken = (snapshot) => snapshot.peers[0].lastHandshake > 0;

async function round(make) {
  const a = await make(1, 2);
  const b = await portable(2, 1, loopback(a.port));
  // A snapshot is an event of its own: nothing is slept through.
  while (!handshaken(await a.snapshot())) await turn();
  await b.stop();
  await a.stop();
}

async function holdings() {
  for (let i = 0; i < 5; i++) {
    await turn();
    globalThis.gc();
  }
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    resources: process.getActiveResourcesInfo().length,
    heap: process.memoryUsage().heapUsed,
    resident: process.memoryUsage().rss,
  };
}

// The first look at these opens them, and they count as handles.
void [process.stdout, process.stderr];
const make = driver === 'linux' ? linux : portable;
for (let i = 0; i < WARM; i++) await round(make);
const early = await holdings();
for (let i = WARM; i < times; i++) await round(make);
console.log(JSON.stringify({ early, late: await holdings() }));
