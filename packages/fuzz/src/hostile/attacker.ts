import { once } from 'node:events';
import dgram from 'node:dgram';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CookieJar } from '@wirestream/core/cookie/jar';
import { Handshake } from '@wirestream/core/noise/handshake';
import { LocalIdentity } from '@wirestream/core/noise/identity';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { tai64n } from '@wirestream/core/noise/tai64n';
import { concat, noise } from '../arbitraries/bytes.js';
import { makeMessage } from '../arbitraries/messages.js';
import { headerBytes, writeRecord } from '../arbitraries/records.js';
import { keysOf } from './keys.js';

/** Somebody who means ill, in a process of its own: told over IPC what to do, for how long, and to whom. */
export interface Orders {
  readonly attack: keyof typeof ATTACKS;
  readonly port: number;
  readonly uapi: string;
  readonly ms: number;
}

export interface Deeds {
  /** connections made, or messages sent: what the attack consists of */
  readonly count: number;
  /** bytes that the attacked device said */
  readonly heard: number;
  /** connections or clients that were shown the door */
  readonly closed: number;
  /** user and system, µs */
  readonly cpu: number;
}

/** Connections that are held at once: descriptors are not what is measured. */
const HELD_MAX = 400;
/** Turns in which every line grows beyond the 1024 characters that it may have. */
const LINE_TURNS = 30;

/** What an attack is to consist of at least, and how much longer than it was meant to it may take for that, ms. */
const CONNECTIONS_MIN = 400;
const DATAGRAMS_MIN = 800;
const LATE_MAX = 10_000;

class Attack {
  count = 0;
  heard = 0;
  closed = 0;
  readonly #sockets = new Set<net.Socket>();
  end = 0;

  constructor(readonly orders: Orders) {
    this.begin();
  }

  /** Now, not when it began to get ready. */
  begin(): void {
    this.end = performance.now() + this.orders.ms;
  }

  /** On a machine that is busy an attack has more time, until it is one. @param least connections or messages that it consists of */
  goesOn(least = 0): boolean {
    const now = performance.now();
    return now < this.end || (this.count < least && now < this.end + LATE_MAX);
  }

  /** A connection from one of several addresses; null when it was refused. */
  async connect(source: number): Promise<net.Socket | null> {
    while (this.#sockets.size >= HELD_MAX) this.#drop(this.#sockets.values().next().value!);
    const socket = net.connect({ port: this.orders.port, host: '127.0.0.1', localAddress: `127.0.0.${60 + source}` });
    this.#watch(socket);
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(3_000) });
      this.count++;
      return socket;
    } catch {
      return null;
    }
  }

  client(): net.Socket {
    const socket = net.connect(this.orders.uapi);
    this.#watch(socket);
    this.count++;
    return socket;
  }

  finish(): void {
    for (const socket of this.#sockets) this.#drop(socket);
  }

  #watch(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on('data', (bytes: Buffer) => (this.heard += bytes.length));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#sockets.delete(socket)) this.closed++;
    });
  }

  #drop(socket: net.Socket): void {
    this.#sockets.delete(socket);
    socket.destroy();
  }
}

const record = (message: Uint8Array) => writeRecord({ message, fragment: null });

/** An initiation that nobody can open, with a right MAC1. */
function flood(seed: number): Uint8Array {
  const message = makeMessage(1, 148, seed);
  new CookieJar(nativeCrypto, keysOf(1).publicKey).addMacs(message, 0);
  return message;
}

/** An initiation of a genuine peer's from long ago. */
function overheard(number: number): Uint8Array {
  const local = new LocalIdentity(nativeCrypto, keysOf(number).privateKey);
  const handshake = new Handshake(nativeCrypto, local, keysOf(1).publicKey);
  const message = handshake.createInitiation(noise(32, 99), 0x01020304, tai64n(1_500_000_000_000))!;
  new CookieJar(nativeCrypto, keysOf(1).publicKey).addMacs(message, 0);
  return message;
}

/** Connects over and over and says the same on each connection. */
async function say(attack: Attack, what: (n: number) => Uint8Array): Promise<void> {
  for (let n = 0; attack.goesOn(CONNECTIONS_MIN); n++) {
    const socket = await attack.connect(n % 40);
    if (socket === null) await sleep(5);
    else socket.write(what(n));
  }
}

/** Sends up to two thousand datagrams a second: ten times what counts as load, more than any genuine peers make, and little enough that the socket's buffer does not overflow. */
async function datagrams(attack: Attack, what: (n: number) => Uint8Array): Promise<void> {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.66');
  await once(socket, 'listening');
  socket.on('message', (bytes) => (attack.heard += bytes.length));
  attack.begin();
  for (let n = 0; attack.goesOn(DATAGRAMS_MIN); n++) {
    socket.send(what(n), attack.orders.port, '127.0.0.1');
    attack.count++;
    if (n % 2 === 1) await sleep(1);
  }
  socket.close();
}

const ATTACKS = {
  blast: async (attack: Attack) => {
    await Promise.all(Array.from({ length: 4 }, () => say(attack, () => new Uint8Array(0))));
  },
  trickle: async (attack: Attack) => {
    const sockets = [];
    for (let n = 0; n < 32; n++) sockets.push(await attack.connect(n % 8));
    const whole = record(makeMessage(1, 148, 5));
    for (let at = 0; attack.goesOn(); at++) {
      for (const socket of sockets)
        if (socket?.writable === true) socket.write(whole.subarray(at % 156, (at % 156) + 1));
      await sleep(10);
    }
  },
  'flood-tcp': (attack: Attack) => say(attack, (n) => record(flood(n))),
  'flood-udp': (attack: Attack) => {
    const messages = Array.from({ length: 200 }, (_, n) => flood(n));
    return datagrams(attack, (n) => messages[n % messages.length]!);
  },
  'replay-tcp': (attack: Attack) => {
    const message = record(overheard(2));
    return say(attack, () => message);
  },
  'replay-udp': (attack: Attack) => {
    const message = overheard(2);
    return datagrams(attack, () => message);
  },
  sizes: (attack: Attack) => {
    const lengths = [0, 7, 8, 39, 40, 65_543, 65_544, 0x7fff_ffff, 0xffff_ffff];
    return say(attack, (n) => concat([headerBytes(lengths[n % lengths.length]!, 0, n & 1), noise(300, n)]));
  },
  promises: (attack: Attack) => say(attack, () => concat([headerBytes(65_543, 0, 0), Uint8Array.of(4, 0, 0, 0)])),
  'uapi-lines': async (attack: Attack) => {
    const clients = Array.from({ length: 60 }, () => attack.client());
    for (const client of clients) client.write('set=1\npublic_key=');
    // On a machine that is busy a second may be over before a line is too long.
    for (let n = 0; attack.goesOn() || n < LINE_TURNS; n++) {
      for (const client of clients) if (client.writable) client.write('0'.repeat(40 + (n % 40)));
      await sleep(10);
    }
    for (let waited = 0; attack.closed < clients.length && waited < 10_000; waited += 50) await sleep(50);
  },
};

if (process.send !== undefined) {
  process.on('message', async (orders: Orders | 'stop') => {
    if (orders === 'stop') return process.disconnect();
    const before = process.cpuUsage();
    const attack = new Attack(orders);
    await ATTACKS[orders.attack](attack);
    const { user, system } = process.cpuUsage(before);
    const { count, heard, closed } = attack;
    attack.finish();
    process.send!({ count, heard, closed, cpu: user + system } satisfies Deeds);
  });
  process.send('ready');
}
