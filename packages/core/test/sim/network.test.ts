import { describe, expect, test } from '@jest/globals';
import { Clock } from '../../src/sim/clock.js';
import { LANE_OPTIONS, Lane, type Damage } from '../../src/sim/lane.js';
import { endpoint } from '../../src/sim/machine.js';
import { Network } from '../../src/sim/network.js';
import { Rng } from '../../src/sim/rng.js';
import { SOCKET_OPTIONS, type Socket, type SocketOwner } from '../../src/sim/socket.js';

/** The simulated network must behave like the real one, or what is proven on it says nothing. */
class Owner implements SocketOwner {
  readonly log: string[] = [];
  readonly bytes: number[] = [];
  reads = true;
  constructor(private readonly clock: Clock) {}
  connected(): void {
    this.#note('connected');
  }
  readable(socket: Socket): void {
    const room = new Uint8Array(100_000);
    const n = this.reads ? socket.read(room, 0, room.length) : 0;
    this.bytes.push(...room.subarray(0, n));
    if (socket.isAtEnd) this.#note('end');
  }
  writable(): void {
    this.#note('writable');
  }
  failed(_socket: Socket, reason: string): void {
    this.#note(reason);
  }
  #note(what: string): void {
    this.log.push(`${this.clock.now} ${what}`);
  }
}

function pair(latency = 10, options = {}) {
  const clock = new Clock();
  const network = new Network(clock, new Rng(1), { ...LANE_OPTIONS, latency, ...options });
  const [a, b] = [network.machine('192.0.0.1'), network.machine('192.0.0.2')];
  const [client, server] = [new Owner(clock), new Owner(clock)];
  const accepted: Socket[] = [];
  b.listen(
    7,
    (socket) => {
      accepted.push(socket);
      return server;
    },
    (bytes) => server.bytes.push(...bytes),
  );
  a.listen(
    7,
    () => null,
    (bytes) => client.bytes.push(...bytes),
  );
  const dial = (port = 7) => a.connect(endpoint('192.0.0.2', port), client);
  return { clock, network, a, b, client, server, accepted, dial };
}

const data = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251);

describe('TCP', () => {
  test('a dial takes one round trip, and the other end knows half a round trip later', () => {
    const { clock, client, accepted, dial } = pair(10);
    dial();
    clock.runUntil(29);
    expect(client.log).toEqual(['20 connected']);
    expect(accepted).toHaveLength(0);
    clock.runUntil(30);
    expect(accepted).toHaveLength(1);
  });

  test('bytes come in order and unharmed, however they are cut', () => {
    const { clock, server, dial } = pair(10, { jitter: 50, segmentMin: 1, segmentMax: 30, rate: 20 });
    const socket = dial();
    clock.runUntil(1_000);
    const bytes = data(5_000);
    for (let at = 0; at < bytes.length; at += 500) socket.write(bytes, at, 500);
    clock.runUntil(10_000);
    expect(server.bytes).toEqual([...bytes]);
  });

  test('a socket takes what its buffer holds, and tells when there is room again', () => {
    const { clock, a, client, dial } = pair(10);
    a.socketOptions = { ...SOCKET_OPTIONS, sendBuffer: 100 };
    const socket = dial();
    clock.runUntil(100);
    expect(socket.write(data(300), 0, 300)).toBe(100);
    expect(socket.write(data(300), 100, 200)).toBe(0);
    clock.runUntil(119);
    expect(client.log).toEqual(['20 connected']);
    clock.runUntil(120);
    expect(client.log).toEqual(['20 connected', '120 writable']);
  });

  test('an end that does not read stops the other one', () => {
    const { clock, b, server, accepted, dial } = pair(10);
    b.socketOptions = { ...SOCKET_OPTIONS, receiveBuffer: 1_000 };
    const socket = dial();
    clock.runUntil(100);
    server.reads = false;
    socket.write(data(5_000), 0, 5_000);
    clock.runUntil(60_000);
    expect(accepted[0]!.unread).toBe(1_000);
    server.reads = true;
    server.readable(accepted[0]!);
    clock.runUntil(61_000);
    expect(server.bytes).toEqual([...data(5_000)]);
  });

  test('nobody listens: refused after a round trip; SYNs vanish: sent again after 1, 3 and 7 s', () => {
    const { clock, network, a, b, client, dial } = pair(10);
    dial(8);
    clock.runUntil(20);
    expect(client.log).toEqual(['20 refused']);
    network.lane(a, b).set('vanish');
    dial();
    clock.runUntil(5_000);
    network.lane(a, b).set('up');
    clock.runUntil(20_000);
    expect(client.log).toEqual(['20 refused', '7040 connected']);
    expect(b.sockets.size).toBe(1);
  });

  test('what vanished is sent again, later each time, until the user time-out', () => {
    const { clock, network, a, b, client, server, dial } = pair(10);
    const socket = dial();
    clock.runUntil(100);
    network.lane(a, b).set('vanish');
    socket.write(data(10), 0, 10);
    clock.runUntil(1_000);
    network.lane(a, b).set('up');
    clock.runUntil(1_400);
    expect(server.bytes).toEqual([]);
    clock.runUntil(1_600);
    expect(server.bytes).toEqual([...data(10)]);
    network.lane(a, b).set('vanish');
    socket.write(data(10), 0, 10);
    clock.runUntil(60_000);
    expect(client.log.at(-1)).toMatch(/timeout$/);
    expect(server.log).toEqual([]);
  });

  test('a stall delivers everything when it ends', () => {
    const { clock, network, a, b, server, dial } = pair(10);
    const socket = dial();
    clock.runUntil(100);
    network.lane(a, b).set('stall');
    socket.write(data(3_000), 0, 3_000);
    clock.runUntil(50_000);
    expect(server.bytes).toEqual([]);
    network.lane(a, b).set('up');
    clock.runUntil(50_100);
    expect(server.bytes).toEqual([...data(3_000)]);
  });

  test('FIN comes behind the data; a half-closed connection still carries the other way', () => {
    const { clock, client, server, accepted, dial } = pair(10);
    const socket = dial();
    clock.runUntil(100);
    socket.write(data(10), 0, 10);
    socket.shutdown();
    clock.runUntil(200);
    expect(server.bytes).toEqual([...data(10)]);
    expect(server.log).toEqual(['110 end']);
    accepted[0]!.write(data(5), 0, 5);
    clock.runUntil(300);
    expect(client.bytes).toEqual([...data(5)]);
  });

  test('an aborted connection resets the other end, and so does data for one that is gone', () => {
    const first = pair(10);
    const socket = first.dial();
    first.clock.runUntil(100);
    socket.close(true);
    first.clock.runUntil(200);
    expect(first.server.log).toEqual(['110 reset']);

    const second = pair(10);
    second.dial();
    second.clock.runUntil(100);
    second.b.crash();
    second.clock.runUntil(200);
    expect(second.client.log).toEqual(['20 connected']);
    [...second.a.sockets][0]!.write(data(1), 0, 1);
    second.clock.runUntil(300);
    expect(second.client.log).toEqual(['20 connected', '220 reset']);
  });

  test('behind an address translation: seen from there, not to be dialled, and cut off by a new one', () => {
    const { clock, a, b, client, accepted, dial } = pair(10);
    a.behind = '203.0.113.1';
    const socket = dial();
    clock.runUntil(100);
    expect(accepted[0]!.remote.address).toBe('203.0.113.1');
    const other = new Owner(clock);
    b.connect(endpoint('203.0.113.1', 7), other);
    b.connect(endpoint('192.0.0.1', 7), other);
    clock.runUntil(130_000);
    expect(other.log.map((line) => line.split(' ')[1])).toEqual(['timeout', 'timeout']);
    a.translation++;
    socket.write(data(1), 0, 1);
    clock.runUntil(130_020);
    expect(client.log.at(-1)).toBe('130020 reset');
  });
});

describe('UDP', () => {
  test('datagrams are lost, doubled and reordered, and otherwise arrive', () => {
    const { clock, a, server } = pair(10, { loss: 0.2, duplicate: 0.2, jitter: 100 });
    for (let i = 0; i < 200; i++) a.send(Uint8Array.of(i), endpoint('192.0.0.2', 7));
    clock.runUntil(1_000);
    const counts = new Map<number, number>();
    for (const byte of server.bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1);
    expect(counts.size).toBeGreaterThan(100);
    expect(counts.size).toBeLessThan(200);
    expect(Math.max(...counts.values())).toBe(2);
    expect(server.bytes).not.toEqual([...server.bytes].sort((x, y) => x - y));
  });
});

describe('damage', () => {
  const lane = () => new Lane(new Clock(), new Rng(5), LANE_OPTIONS);
  const through = (damage: Damage) => {
    const one = lane();
    one.damage.push(damage);
    const out = one.passed(data(100));
    expect(one.passed(data(100))).toEqual(data(100));
    return out;
  };

  test('flips, insertions and deletions are as large as asked for, and done once', () => {
    const flipped = through({ kind: 'flip', count: 3 });
    expect(flipped).toHaveLength(100);
    expect(flipped.filter((byte, i) => byte !== data(100)[i])).toHaveLength(3);
    expect(through({ kind: 'insert', count: 40 })).toHaveLength(140);
    expect(through({ kind: 'delete', count: 2 })).toHaveLength(98);
  });
});

describe('clock and random numbers', () => {
  test('events come by time, then rank, then in the order they were put in', () => {
    const clock = new Clock();
    const seen: string[] = [];
    clock.at(5, () => seen.push('late'));
    clock.at(3, () => seen.push('third'), 1);
    clock.at(3, () => seen.push('first'));
    clock.at(3, () => seen.push('second'));
    clock.cancel(clock.at(4, () => seen.push('never')));
    clock.runUntil(10);
    expect(seen).toEqual(['first', 'second', 'third', 'late']);
    expect(clock.now).toBe(10);
  });

  test('the same as sorting, for a thousand events', () => {
    const clock = new Clock();
    const rng = new Rng(3);
    const times = Array.from({ length: 1_000 }, () => rng.below(300));
    const seen: number[] = [];
    for (const time of times) clock.at(time, () => seen.push(time));
    clock.runUntil(300);
    expect(seen).toEqual([...times].sort((x, y) => x - y));
  });

  test('one seed, one sequence; forks do not disturb each other', () => {
    const draw = (seed: number) =>
      Array.from(
        { length: 20 },
        (
          (rng) => () =>
            rng.u32()
        )(new Rng(seed)),
      );
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const [left, right] = [new Rng(9), new Rng(9)];
    left.fork().fill(new Uint8Array(1_000));
    right.fork();
    expect(left.u32()).toBe(right.u32());
  });
});
