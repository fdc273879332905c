import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { noise } from '../arbitraries/bytes.js';
import { Rng } from '../campaign/mutate.js';

/** What the path did to a tunnel, by name. */
export type Deeds = Record<string, number>;

/**
 * The path between a peer and the device: forwards everything, and now and then does what networks do. The peer seems to come from another address after
 * each `roam`.
 */
export interface Path {
  readonly port: number;
  readonly deeds: Deeds;
  fault(): void;
  roam(): void;
  close(): void;
}

/** Addresses of 127.0.0.0/8 that the peer seems to come from. */
const SOURCES = 20;
const SOURCE_BASE = 100;

export async function tcpPath(port: number, seed: number): Promise<Path> {
  const rng = new Rng(seed);
  const deeds: Deeds = {};
  const did = (what: string) => (deeds[what] = (deeds[what] ?? 0) + 1);
  const pairs = new Set<{ near: net.Socket; far: net.Socket }>();
  let source = SOURCE_BASE;
  const server = net.createServer((near) => {
    const far = net.connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${source}` });
    const pair = { near, far };
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes: Buffer) => {
        if (!to.write(bytes)) from.pause();
      });
      to.on('drain', () => from.resume());
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
    did('connections');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const faults = {
    reset: (pair) => pair.near.resetAndDestroy(),
    close: (pair) => pair.far.end(),
    garbage: (pair) => void (rng.below(2) === 0 ? pair.near : pair.far).write(noise(1 + rng.below(300), rng.uint32())),
    stall: (pair) => {
      pair.near.pause();
      pair.far.pause();
      setTimeout(() => {
        pair.near.resume();
        pair.far.resume();
      }, 300).unref();
    },
  } satisfies Record<string, (pair: { near: net.Socket; far: net.Socket }) => void>;
  return {
    port: (server.address() as net.AddressInfo).port,
    deeds,
    fault() {
      const pair = [...pairs].pop();
      if (pair === undefined) return;
      const what = rng.pick(Object.keys(faults) as (keyof typeof faults)[]);
      did(what);
      faults[what](pair);
    },
    roam() {
      did('roam');
      source = SOURCE_BASE + rng.below(SOURCES);
      for (const { near } of pairs) near.destroy();
    },
    close() {
      server.close();
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
    },
  };
}

export async function udpPath(port: number, seed: number): Promise<Path> {
  const rng = new Rng(seed);
  const deeds: Deeds = {};
  const did = (what: string) => (deeds[what] = (deeds[what] ?? 0) + 1);
  const near = dgram.createSocket('udp4');
  near.bind(0, '127.0.0.1');
  await once(near, 'listening');
  let peer = 0;
  let far: dgram.Socket;
  /** what happens to the next datagrams */
  const plan: string[] = [];
  let held: (() => void) | null = null;
  const pass = (bytes: Buffer, send: (bytes: Buffer) => void) => {
    const what = plan.shift();
    if (what !== undefined) did(what);
    if (what === 'lost') return;
    if (what === 'late') {
      held = () => send(bytes);
      return;
    }
    if (what === 'changed') bytes[rng.below(bytes.length)]! ^= 1 << rng.below(8);
    send(bytes);
    if (what === 'twice') send(bytes);
    held?.();
    held = null;
  };
  const open = (source: number) => {
    const socket = dgram.createSocket('udp4');
    socket.bind(0, `127.0.0.${source}`);
    socket.on('message', (bytes) => pass(bytes, (out) => near.send(out, peer, '127.0.0.1')));
    socket.on('error', () => undefined);
    return socket;
  };
  far = open(SOURCE_BASE);
  near.on('error', () => undefined);
  near.on('message', (bytes, from) => {
    peer = from.port;
    const to = far;
    pass(bytes, (out) => {
      if (to === far) far.send(out, port, '127.0.0.1');
    });
  });
  return {
    port: near.address().port,
    deeds,
    fault() {
      const what = rng.pick(['lost', 'late', 'changed', 'twice']);
      for (let n = 1 + rng.below(5); n > 0; n--) plan.push(what);
    },
    roam() {
      did('roam');
      far.close();
      far = open(SOURCE_BASE + rng.below(SOURCES));
    },
    close() {
      near.close();
      far.close();
    },
  };
}
