import { beforeEach, describe, expect, test } from '@jest/globals';
import { ConnectionTable } from '../../src/capture/connections.js';
import type { ConnectionSink, TcpConnection } from '../../src/capture/connection.js';
import { IpView } from '../../src/capture/ipview.js';
import { ACK, ENDS, FIN, RST, SYN, noise, reversed, tcp, type Ends, type Segment } from './frames.js';

let events: string[];
let table: ConnectionTable;
let connections: TcpConnection[];
let now: number;

beforeEach(() => {
  events = [];
  connections = [];
  now = 0;
  const sink: ConnectionSink = {
    opened: (c) => {
      connections.push(c);
      events.push(`open ${c.id}`);
    },
    established: (c) => events.push(`established ${c.id}`),
    data: (c, side, position, bytes, offset, length) =>
      events.push(`data ${c.id}/${side} @${position} ${[...bytes.subarray(offset, offset + length)].join(',')}`),
    gap: (c, side, position, length, why) => events.push(`gap ${c.id}/${side} @${position} ${length} ${why}`),
    closing: (c, { side, how }) => events.push(`${how} ${c.id}/${side}`),
    finished: (c) => events.push(`finished ${c.id}`),
  };
  table = new ConnectionTable(sink);
});

function send(ends: Ends, segment: Segment, captured?: number): void {
  const packet = tcp(ends, segment);
  const bytes = captured === undefined ? packet : packet.slice(0, packet.length - (segment.payload!.length - captured));
  const view = new IpView();
  if (!view.parse(bytes, 0, bytes.length, packet.length) || !view.parseTcp(bytes)) throw new Error('no segment');
  table.segment(view, bytes, now);
}

const A = ENDS;
const B = reversed(ENDS);

function handshake(a: Ends = A, x = 1000, y = 5000): void {
  send(a, { sequence: x, flags: SYN });
  send(reversed(a), { sequence: y, acknowledgement: x + 1, flags: SYN | ACK });
  send(a, { sequence: x + 1, acknowledgement: y + 1 });
}

const bytes = (...list: number[]) => Uint8Array.from(list);

describe('TCP connections', () => {
  test('from SYN to FIN', () => {
    handshake();
    send(A, { sequence: 1001, acknowledgement: 5001, payload: bytes(1, 2, 3) });
    send(B, { sequence: 5001, acknowledgement: 1004, payload: bytes(9) });
    send(A, { sequence: 1004, acknowledgement: 5002, flags: FIN | ACK });
    send(B, { sequence: 5002, acknowledgement: 1005, flags: FIN | ACK });
    table.end();
    expect(events).toEqual([
      'open 0',
      'established 0',
      'data 0/0 @0 1,2,3',
      'data 0/1 @0 9',
      'FIN 0/0',
      'FIN 0/1',
      'finished 0',
    ]);
    const [c] = connections;
    expect([c!.dialler, c!.sawSyn, c!.established, c!.isClosed, c!.ends[0].text]).toEqual([
      0,
      true,
      true,
      true,
      '192.0.2.1:40000',
    ]);
  });

  test('refused', () => {
    send(A, { sequence: 1000, flags: SYN });
    send(B, { sequence: 0, acknowledgement: 1001, flags: RST | ACK });
    table.end();
    expect(events).toEqual(['open 0', 'RST 0/1', 'finished 0']);
    expect(connections[0]!.established).toBe(false);
  });

  test('a repeated SYN is the same attempt, one with another number is the next', () => {
    send(A, { sequence: 1000, flags: SYN });
    send(A, { sequence: 1000, flags: SYN });
    send(B, { sequence: 0, acknowledgement: 1001, flags: RST | ACK });
    handshake(A, 7_000_000, 9_000_000);
    send(A, { sequence: 7_000_001, acknowledgement: 9_000_001, payload: bytes(7) });
    table.end();
    expect(events).toEqual([
      'open 0',
      'RST 0/1',
      'finished 0',
      'open 1',
      'established 1',
      'data 1/0 @0 7',
      'finished 1',
    ]);
  });

  test('the same pair of addresses is used again after a connection that was joined in the middle', () => {
    send(A, { sequence: 100, acknowledgement: 200, payload: bytes(1) });
    now = 1;
    send(B, { sequence: 200, acknowledgement: 101, payload: bytes(2) });
    handshake(A, 50_000_000, 60_000_000);
    table.end();
    expect(events.filter((event) => event.startsWith('open'))).toEqual(['open 0', 'open 1']);
    expect(connections.map(({ sawSyn }) => sawSyn)).toEqual([false, true]);
  });

  test('a SYN that was captured behind its first data is not another connection', () => {
    send(A, { sequence: 1001, acknowledgement: 5001, payload: bytes(1) });
    send(A, { sequence: 1000, flags: SYN });
    send(B, { sequence: 5000, acknowledgement: 1001, flags: SYN | ACK });
    table.end();
    expect(events.filter((event) => event.startsWith('open'))).toEqual(['open 0']);
    expect(events).toContain('data 0/0 @0 1');
    expect(connections[0]!.dialler).toBe(0);
  });

  test('a SYN with ACK that comes first says who dialled', () => {
    send(B, { sequence: 5000, acknowledgement: 1001, flags: SYN | ACK });
    send(A, { sequence: 1001, acknowledgement: 5001, payload: bytes(1) });
    table.end();
    const [c] = connections;
    expect(c!.ends[c!.dialler].text).toBe('192.0.2.1:40000');
    expect(c!.established).toBe(true);
  });

  test('joined in the middle: the lower port is not the one that dialled, 51820 never is, and known listeners come first', () => {
    const dialled = (ends: Ends, ports: number[] = []) => {
      const seen: TcpConnection[] = [];
      const nothing = () => undefined;
      const sink: ConnectionSink = {
        opened: (c) => seen.push(c),
        established: nothing,
        data: nothing,
        gap: nothing,
        closing: nothing,
        finished: nothing,
      };
      table = new ConnectionTable(sink, ports);
      send(ends, { sequence: 1, payload: bytes(1) });
      return seen[0]!.ends[seen[0]!.acceptor].port;
    };
    expect(dialled({ ...A, sourcePort: 51820, destinationPort: 1024 })).toBe(51820);
    expect(dialled({ ...A, sourcePort: 1024, destinationPort: 51820 })).toBe(51820);
    expect(dialled({ ...A, sourcePort: 60000, destinationPort: 443 })).toBe(443);
    expect(dialled({ ...A, sourcePort: 443, destinationPort: 60000 })).toBe(443);
    expect(dialled({ ...A, sourcePort: 443, destinationPort: 60000 }, [60000])).toBe(60000);
  });

  test('segments without payload open nothing', () => {
    send(A, { sequence: 1, acknowledgement: 1 });
    send(A, { sequence: 1, acknowledgement: 1, flags: FIN | ACK });
    send(B, { sequence: 1, acknowledgement: 2, flags: RST });
    table.end();
    expect(events).toEqual([]);
  });

  test('a hole is waited for, and filled by the retransmission', () => {
    handshake();
    send(A, { sequence: 1003, acknowledgement: 5001, payload: bytes(3, 4) });
    now = 0.5;
    send(A, { sequence: 1001, acknowledgement: 5001, payload: bytes(1, 2) });
    expect(events.slice(2)).toEqual(['data 0/0 @0 1,2', 'data 0/0 @2 3,4']);
  });

  test('a hole that was acknowledged was missed by the capture: given up after a second and a few packets', () => {
    handshake();
    send(A, { sequence: 1003, acknowledgement: 5001, payload: bytes(3, 4) });
    send(B, { sequence: 5001, acknowledgement: 1005 });
    expect(events.slice(2)).toEqual([]);
    now = 1.1;
    for (let i = 0; i < 8; i++) send(B, { sequence: 5001, acknowledgement: 1005 });
    expect(events.slice(2)).toEqual(['gap 0/0 @0 2 lost', 'data 0/0 @2 3,4']);
  });

  test('… or after many more packets', () => {
    handshake();
    send(A, { sequence: 1003, acknowledgement: 5001, payload: bytes(3, 4) });
    for (let i = 0; i < 70; i++) send(B, { sequence: 5001, acknowledgement: 1005 });
    expect(events.slice(2)).toEqual(['gap 0/0 @0 2 lost', 'data 0/0 @2 3,4']);
  });

  test('a hole that nobody acknowledged is waited for longer', () => {
    handshake();
    send(A, { sequence: 1003, acknowledgement: 5001, payload: bytes(3, 4) });
    now = 5;
    send(B, { sequence: 5001, acknowledgement: 1001 });
    expect(events.slice(2)).toEqual([]);
    now = 11;
    send({ ...A, sourcePort: 1 }, { sequence: 1, flags: SYN });
    expect(events.slice(2)).toEqual(['gap 0/0 @0 2 lost', 'data 0/0 @2 3,4', 'open 1']);
  });

  test('at the end, what waits is handed on, and acknowledged bytes that were never seen are a gap', () => {
    handshake();
    send(A, { sequence: 1003, acknowledgement: 5001, payload: bytes(3, 4) });
    send(B, { sequence: 5001, acknowledgement: 1011 });
    table.end();
    expect(events.slice(2)).toEqual(['gap 0/0 @0 2 lost', 'data 0/0 @2 3,4', 'gap 0/0 @4 6 lost', 'finished 0']);
  });

  test('the acknowledgement of a FIN is no missing byte', () => {
    handshake();
    send(A, { sequence: 1001, acknowledgement: 5001, payload: bytes(1) });
    send(A, { sequence: 1002, acknowledgement: 5001, flags: FIN | ACK });
    send(B, { sequence: 5001, acknowledgement: 1003 });
    send(B, { sequence: 5001, acknowledgement: 1003, flags: FIN | ACK });
    send(A, { sequence: 1003, acknowledgement: 5002 });
    table.end();
    expect(events.some((event) => event.startsWith('gap'))).toBe(false);
  });

  test('a segment that the capture cut leaves a gap at once', () => {
    handshake();
    send(A, { sequence: 1001, acknowledgement: 5001, payload: noise(10) }, 4);
    send(A, { sequence: 1011, acknowledgement: 5001, payload: bytes(5) });
    expect(events.slice(2)).toEqual([
      `data 0/0 @0 ${[...noise(10)].slice(0, 4).join(',')}`,
      'gap 0/0 @4 6 cut',
      'data 0/0 @10 5',
    ]);
  });

  test('the answer to the SYN was missed: the acknowledgement says where that stream begins', () => {
    send(A, { sequence: 1000, flags: SYN });
    send(A, { sequence: 1001, acknowledgement: 5001 });
    send(B, { sequence: 5001, acknowledgement: 1001, payload: bytes(1) });
    expect(events).toEqual(['open 0', 'data 0/1 @0 1']);
  });

  test('data behind a reset still counts, what the reset carries does not', () => {
    handshake();
    send(B, { sequence: 5001, acknowledgement: 1001, flags: RST | ACK, payload: bytes(0x6e, 0x6f) });
    send(A, { sequence: 1001, acknowledgement: 5001, payload: bytes(1) });
    table.end();
    expect(events.slice(2)).toEqual(['RST 0/1', 'data 0/0 @0 1', 'finished 0']);
  });

  test('a closed connection is forgotten after a minute', () => {
    handshake();
    send(A, { sequence: 1001, acknowledgement: 5001, flags: FIN | ACK });
    send(B, { sequence: 5001, acknowledgement: 1002, flags: FIN | ACK });
    now = 62;
    send({ ...A, sourcePort: 1 }, { sequence: 1, flags: SYN });
    expect(events).toContain('finished 0');
    expect(table.open).toBe(1);
  });

  test('memory is bounded: with too many connections, those silent longest are finished', () => {
    for (let i = 0; i < 20_000; i++) {
      now = i / 1000;
      send({ ...A, sourcePort: i % 65000, source: `10.${i >> 16}.0.${(i / 65000) | 0}` }, { sequence: i, flags: SYN });
    }
    expect(table.open).toBeLessThanOrEqual(4096);
    table.end();
    expect(table.open).toBe(0);
    expect(events.filter((event) => event.startsWith('finished'))).toHaveLength(20_000);
  });

  test('both ends dial at once on the same pair of ports', () => {
    send(A, { sequence: 1000, flags: SYN });
    send(B, { sequence: 5000, flags: SYN });
    send(A, { sequence: 1000, acknowledgement: 5001, flags: SYN | ACK });
    send(B, { sequence: 5000, acknowledgement: 1001, flags: SYN | ACK });
    send(A, { sequence: 1001, acknowledgement: 5001, payload: bytes(1) });
    table.end();
    expect(events).toEqual(['open 0', 'established 0', 'data 0/0 @0 1', 'finished 0']);
  });
});
