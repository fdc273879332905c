// First, so that everything else keeps the faster time.
import { speed } from './clock.js';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Transport } from '@wirestream/core/device/settings';
import { Rng } from '../campaign/mutate.js';
import type { DriverKind } from '../hostile/arena.js';
import type { Measure, Question } from '../hostile/victim.js';
import { tcpPath, udpPath, type Deeds } from './path.js';
import { Peer, type Tally } from './peer.js';

/**
 * One tunnel that is used for a long time: a device in a process of its own, a peer here, and a path between them that has faults. Told over IPC to stop;
 * reports once a second.
 *
 *     node lane.js portable|linux tcp|udp SEED
 */
export interface Report {
  readonly tally: Tally;
  readonly deeds: Deeds;
  /** bytes, of the peer's process and of the device's */
  readonly memory: readonly [number, number];
  readonly descriptors: readonly [number, number];
  /** the last one */
  readonly done: boolean;
}

/** Between two reports, real ms. */
const REPORT_EVERY = 1_000;
/** Of a hundred seconds, those with a fault and those with another address. */
const FAULTS = 35;
const ROAMS = 5;

if (process.send !== undefined && process.argv.length >= 5) {
  const [kind, transport, seed] = process.argv.slice(2) as [DriverKind, Transport, string];
  // The engine thread of the Linux driver has a clock of its own: its peer alone is in a hurry.
  const clock = fileURLToPath(new URL('./clock.js', import.meta.url));
  const execArgv = kind === 'linux' ? [] : ['--import', clock];
  const victim = fork(fileURLToPath(new URL('../hostile/victim.js', import.meta.url)), [kind, transport], { execArgv });
  const [first] = (await once(victim, 'message')) as [Measure];
  const path = await (transport === 'tcp' ? tcpPath : udpPath)(first.port, Number(seed));
  const real = () => performance.now() / speed;
  const peer = new Peer(2, path.port, transport, Number(seed) + 1, real);
  await peer.start();

  let id = 0;
  const measure = async (): Promise<Measure> => {
    const asked = ++id;
    victim.send({ id: asked, ask: 'measure' } satisfies Question);
    for (;;) {
      const [answer] = (await once(victim, 'message')) as [Measure];
      if (answer.id === asked) return answer;
    }
  };
  const report = async (done: boolean): Promise<void> => {
    const device = await measure();
    process.send!({
      tally: peer.tally,
      deeds: path.deeds,
      memory: [process.memoryUsage.rss(), device.memory],
      descriptors: [readdirSync('/proc/self/fd').length, device.descriptors],
      done,
    } satisfies Report);
  };
  const rng = new Rng(Number(seed) + 2);
  let stopping = false;
  const timer = setInterval(() => {
    const draw = rng.below(100);
    if (draw < FAULTS) path.fault();
    else if (draw < FAULTS + ROAMS) path.roam();
    if (!stopping) void report(false);
  }, REPORT_EVERY);
  process.on('message', () => {
    stopping = true;
    clearInterval(timer);
    const end = async () => {
      await peer.stop();
      path.close();
      await report(true);
      victim.send({ id: 0, ask: 'stop' } satisfies Question);
      await once(victim, 'exit');
      process.disconnect();
    };
    void end();
  });
  process.on('disconnect', () => process.exit());
}
