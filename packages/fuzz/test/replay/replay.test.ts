import { describe, expect, test } from '@jest/globals';
import { hex, type RecordedConnection, type RecordedEvent, type Role } from '../../src/replay/recording.js';
import { NAMES, innerPackets, recording, replay } from './fixtures.js';

/**
 * The kernel's recordings played into the engine, in the place of either end: A's bytes into B's engine and B's into A's. What it concludes is
 * held against what the kernel concluded, as the sidecars have it. Where it differs it does so on purpose; each such place
 * is a test below that says which rule it is (KERNEL.md).
 */
const ROLES: readonly Role[] = ['A', 'B'];
const other = (role: Role): Role => (role === 'A' ? 'B' : 'A');
const INITIATION = 1;
const RESPONSE = 2;
const DATA = 4;
/** A ping of tcp-reconnect as a transport message, bytes. */
const PING_MESSAGE = 192;

/**
 * Bytes that the engine counts as received and the kernel does not. Both dial at once: A's kernel does not count the initiation that gives way to its own; B's
 * kernel had closed the connection on which a ping came, ours keeps it until the peer's choice is known (row 5).
 */
const MORE_RECEIVED: Readonly<Record<string, number>> = { 'tcp-both-dial-v4 A': 148, 'tcp-both-dial-v4 B': 128 };

const cases = NAMES.flatMap((name) => ROLES.map((role) => [name, role] as const));

describe.each(cases)('%s, in the place of %s', (name, role) => {
  const stage = () => replay(name, role);

  test('the same handshakes complete', () => {
    const { handshakes, handshakesCompleted } = recording(name);
    const ours = stage()
      .of('handshake')
      .map(({ as, local, remote }) => (as === 'initiator' ? [local, remote] : [remote, local]).join(' '));
    const answered = handshakes.filter((h) => h.kind === 'response').map((h) => `${h.receiver} ${h.sender}`);
    expect(ours).toEqual(answered);
    expect(ours).toHaveLength(handshakesCompleted);
  });

  test('as many bytes of the peer are authentic as the kernel counted', () => {
    const more = MORE_RECEIVED[`${name} ${role}`] ?? 0;
    expect(stage().rxBytesAtCounters).toBe(recording(name).sides[role].rxBytes + more);
  });

  test('what comes out is what the tunnel interface showed', () => {
    const seen = innerPackets(recording(name), other(role));
    if (seen === null) return;
    const ours = stage().delivered.map((packet) => hex(packet));
    const never = new Set(neverArrived(name, role, seen, ours));
    expect(ours.sort()).toEqual(seen.filter((packet) => !never.has(packet)).sort());
  });

  test('whoever the kernel took over is promoted, and nobody else', () => {
    const ours = stage()
      .of('promoted')
      .map(({ connection }) => connection!.id);
    const authentic = recording(name).connections.filter((c) => c.dialler === other(role) && speaks(name, c));
    expect(ours).toEqual(name === 'tcp-wrong-key' ? [] : authentic.map(({ id }) => id));
  });

  test('outgoing data takes the connection that the kernel’s took', () => {
    const astray = stage().choices.filter(({ kernel, ours }) => kernel !== ours);
    expect(astray.filter(({ ours }) => !isExplained(name, role, ours))).toEqual([]);
  });

  test('nothing that came was for nobody', () => {
    expect(name === 'tcp-connection-blast' ? 0 : stage().lostBytes).toBe(0);
  });
});

/** Packets that the tunnel interface showed and that no message brought in a form that this end could have opened, as the sidecar counts them. */
function neverArrived(name: string, role: Role, seen: readonly string[], ours: readonly string[]): string[] {
  const { sidecar, sides } = recording(name);
  const missing = seen.filter((packet) => !ours.includes(packet));
  let allowed = 0;
  // Lost before they were sent …
  if (role === 'B') allowed += sidecar.inner_check.inner_not_decrypted as number;
  // … or sent under keys that B had lost when its interface went down.
  const sent = sidecar.A.at_end.transfer_tx_bytes as number;
  if (name === 'tcp-reconnect' && role === 'B') allowed += Math.floor((sent - sides.B.rxBytes) / PING_MESSAGE);
  expect(missing.length).toBeLessThanOrEqual(allowed);
  return missing;
}

function speaks(name: string, connection: RecordedConnection): boolean {
  return recording(name).events.some(
    (event) => event.what === 'data' && event.connection === connection && event.from === connection.dialler,
  );
}

/**
 * Where data goes elsewhere: it waits while the engine waits before it dials again, which it does at other times than the kernel; and when both have
 * dialled at once and the kernel's peer closes the one connection, the engine has kept the other, while the kernel sends once more into the closed one.
 */
function isExplained(name: string, role: Role, ours: RecordedConnection | null): boolean {
  return role === 'A' && (ours === null || (name === 'tcp-both-dial-v4' && ours.id === 0));
}

describe('where the kernel is not followed', () => {
  const kernelAnswers = (name: string) => recording(name).handshakes.filter((h) => h.kind === 'response').length;
  const initiations = (name: string) => recording(name).handshakes.filter((h) => h.kind === 'initiation');
  const says = (name: string, role: Role, type: number) =>
    replay(name, role)
      .of('says')
      .filter((s) => s.type === type);

  const dropped = NAMES.filter((name) => kernelAnswers(name) > 0 && kernelAnswers(name) < initiations(name).length);

  test('row 2: most recordings have an initiation that the kernel did not answer', () => {
    expect(dropped.length).toBeGreaterThan(10);
  });

  test.each(dropped.filter((name) => name !== 'tcp-both-dial-v4'))(
    'row 2: %s: each initiation is answered at once',
    (name) => {
      const times = says(name, 'B', RESPONSE).map(({ at }) => Math.round(at));
      expect(times).toHaveLength(initiations(name).length);
      initiations(name).forEach(({ at }, i) => expect(Math.abs(times[i]! - at)).toBeLessThan(30));
    },
  );

  test('row 2: an initiation without an answer on a fresh connection is repeated after a second', () => {
    const [first, second] = says('tcp-handshake-ping-v4', 'A', INITIATION);
    expect(second!.at - first!.at).toBe(1_000);
  });

  test('row 3: something is said on each new connection at once, where the kernel left one silent', () => {
    const stage = replay('tcp-linkup-redial', 'A');
    for (const { at, connection } of stage.of('connected')) {
      const first = stage.of('says').find((s) => s.connection === connection)!;
      expect(first.at - at).toBeLessThanOrEqual(40);
    }
    const silent = recording('tcp-linkup-redial').connections[1]!;
    expect(speaks('tcp-linkup-redial', silent)).toBe(false);
    expect(stage.of('connected').map(({ connection }) => connection)).toContain(silent);
  });

  test('row 5: both dial at once: neither connection is closed, and the handshake settles which one is active', () => {
    for (const role of ROLES) {
      const stage = replay('tcp-both-dial-v4', role);
      const [mine, theirs] = role === 'A' ? [0, 1] : [1, 0];
      expect(stage.of('given up')).toEqual([]);
      const [handshake] = stage.of('handshake');
      const first = stage.of('active').filter(({ at }) => at <= handshake!.at);
      expect(first.map(({ connection }) => connection!.id)).toEqual([mine, theirs]);
    }
  });

  test('row 5: and when the kernel closes the one, what is left is used, without a ping lost', () => {
    const stage = replay('tcp-both-dial-v4', 'A');
    const lost = stage.of('ended').find(({ connection }) => connection!.id === 1)!;
    const next = stage.of('active').find(({ at, connection }) => at >= lost.at && connection !== lost.connection)!;
    expect(next.connection!.id).toBe(0);
    expect(next.at).toBe(lost.at);
  });

  test('row 7: against a wrong key it backs off, and says nothing as the one that is called', () => {
    const { connections } = recording('tcp-wrong-key');
    const dials = replay('tcp-wrong-key', 'A').of('dial').length;
    expect(dials).toBeLessThan(connections.length / 2);
    expect(replay('tcp-wrong-key', 'B').of('says')).toEqual([]);
  });

  test.each(['tcp-connect-refused', 'tcp-connect-blackhole'])(
    'row 8: %s: dials again and again, never more than 30 s apart',
    (name) => {
      const { connections } = recording(name);
      const up = connections.find((c) => c.establishedAt !== Infinity)!;
      const dials = replay(name, 'A')
        .of('dial')
        .filter(({ at }) => at <= up.establishedAt);
      expect(dials.length).toBeGreaterThan(6);
      dials.slice(1).forEach(({ at }, i) => expect(at - dials[i]!.at).toBeLessThanOrEqual(30_000));
      // Dense while its absence is young.
      expect(dials.filter(({ at }) => at < 10_000).length).toBeGreaterThanOrEqual(5);
    },
  );

  test('row 9: after the other end closed the connection it greets with a keepalive and a fresh initiation', () => {
    const stage = replay('tcp-reconnect', 'A');
    const again = stage.of('connected').slice(1);
    expect(again.length).toBeGreaterThan(0);
    for (const { at, connection } of again) {
      const greeting = stage.of('says').filter((s) => s.connection === connection && s.at <= at + 40);
      expect(greeting.slice(0, 2).map((s) => [s.type, s.length])).toEqual([
        [DATA, 32],
        [INITIATION, 148],
      ]);
    }
  });

  test('row 10: an answered initiation authenticates, also where the kernel once closed the connection after it', () => {
    const stage = replay('tcp-persistent-keepalive', 'B');
    const first = recording('tcp-persistent-keepalive').connections[0]!;
    expect(stage.of('promoted')[0]!.connection).toBe(first);
    expect(stage.of('given up')).toEqual([]);
  });

  test.each(['tcp-resync-garbage', 'tcp-short-writes-garbage'])(
    'row 13: %s: a stranger whose first byte is no record is not listened to, and hears nothing',
    (name) => {
      const stage = replay(name, 'B', {});
      expect(stage.of('promoted')).toEqual([]);
      expect(stage.of('says')).toEqual([]);
      expect(stage.of('given up')).toHaveLength(1);
    },
  );
});

describe('as the kernel', () => {
  test('resync: each run of garbage is skipped, counted once, and costs nothing', () => {
    const [tcp] = recording('tcp-resync-garbage').sidecar.derived_from_capture.tcp_connections;
    const [connection] = recording('tcp-resync-garbage').connections;
    const reader = (role: Role) => replay('tcp-resync-garbage', role).connection(connection!)!.reader;
    expect(reader('A').resyncs).toBe(tcp.acceptor_to_dialler.garbage_runs);
    expect(reader('A').skippedBytes).toBe(tcp.acceptor_to_dialler.garbage_bytes);
    // Without the run in front of the first record.
    expect(reader('B').resyncs).toBe(tcp.dialler_to_acceptor.garbage_runs - 1);
  });

  test('roaming: a keepalive under the live keys is enough; the older connection is replaced within 20 ms', () => {
    const stage = replay('tcp-roam', 'B');
    const [old, moved] = recording('tcp-roam').connections;
    const promoted = stage.of('promoted').find(({ connection }) => connection === moved)!;
    const [replaced] = stage.of('replaced');
    expect(replaced!.connection).toBe(old);
    const { events } = recording('tcp-roam');
    const kernel = events.find((e) => e.what === 'FIN' && e.connection === old && e.from === 'B')!;
    expect(Math.abs(replaced!.at - kernel.at)).toBeLessThan(20);
    expect(replaced!.at).toBe(promoted.at);
    expect(stage.peer.endpoint.shown?.address).toBe(moved!.from.address);
    expect(stage.of('handshake')).toHaveLength(1);
  });

  test('strangers: as many are let in, and they go when the kernel lets them go, without a byte', () => {
    const stage = replay('tcp-connection-blast', 'B');
    const { connections, events, sidecar } = recording('tcp-connection-blast');
    const strangers = connections.filter(({ dialler }) => dialler === 'stranger');
    const listed = Object.values(sidecar.stranger_client_log as Record<string, string[]>).flat();
    expect(strangers).toHaveLength(listed.length);
    expect(stage.of('says').filter(({ connection }) => connection!.dialler === 'stranger')).toEqual([]);
    const gone = [...stage.of('turned away'), ...stage.of('given up')];
    const late: number[] = [];
    for (const stranger of strangers) {
      const closed = (e: RecordedEvent) =>
        (e.what === 'FIN' || e.what === 'RST') && e.connection === stranger && e.from === 'B';
      const kernel = events.find(closed)!.at - stranger.synAt;
      const ours = gone.find(({ connection }) => connection === stranger)!.at - stranger.synAt;
      // Sweeps are a second apart, and not at the same times.
      if (kernel < 10_000) expect(Math.abs(ours - kernel)).toBeLessThan(1_100);
      else late.push(ours);
    }
    expect(stage.of('turned away')).toHaveLength(listed.filter((line) => secondsOf(line) < 1).length);
    // Those that send garbage again and again stay for 30 s with the kernel; with us, as long as if they were silent.
    expect(late).toHaveLength(listed.filter((line) => secondsOf(line) > 10).length);
    for (const ms of late) expect(ms).toBeLessThan(6_200);
  });
});

/** From the strangers' own log: after how long it was closed. */
function secondsOf(line: string): number {
  return Number(/after_s ([\d.]+)/.exec(line)![1]);
}
