import type { Family, Side, Transport } from './plan.js';
import * as step from './steps.js';
import type { LabStep } from './steps.js';
import * as transfer from './transfer.js';

/** All scenarios. */

export interface Entry {
  readonly name: string;
  readonly transport: Transport;
  readonly family: Family;
  readonly psk: boolean;
  /** also in the short run */
  readonly quick: boolean;
  /** waits for the clock most of its time: runs beside the others where those do not disturb it */
  readonly long: boolean;
  readonly steps: readonly LabStep[];
}

const MIB = 1 << 20;
const DIALLERS: readonly (Side | 'both')[] = ['us', 'kernel', 'both'];
const WORDS = { us: 'we dial', kernel: 'kernel dials', both: 'both dial' } as const;

/** @param transports of the run, UDP first */
export function catalogue(transports: readonly Transport[]): Entry[] {
  return transports.flatMap((transport) => [
    ...matrix(transport),
    ...events(transport),
    ...(transport === 'tcp' ? damaged() : []),
    ...rekeys(transport),
  ]);
}

/** Who dials, over which family, with a preshared key and without; several sizes of packets both ways. */
function matrix(transport: Transport): Entry[] {
  const cells = DIALLERS.flatMap((who) =>
    ([4, 6] as const).flatMap((family) => [false, true].map((psk) => ({ who, family, psk }))),
  );
  return cells.map(({ who, family, psk }) => {
    const first = who === 'kernel' ? 'kernel' : 'us';
    // Over TCP a kernel whose connection crosses ours may close both, and is without one for about a second (fixtures/kernel, tcp-both-dial-v4).
    const crossing = transport === 'tcp' ? { count: 8, mayLose: 6 } : { count: 5 };
    return {
      name: `${transport} v${family} ${psk ? 'psk' : 'no psk'}: ${WORDS[who]}`,
      transport,
      family,
      psk,
      quick:
        (who === 'us' && family === 4 && !psk) ||
        (who === 'kernel' && family === 6 && psk) ||
        (who === 'both' && family === 4 && psk),
      long: false,
      steps: [
        step.configure,
        step.dial(who),
        who === 'both' ? step.pingBoth(crossing) : step.ping(first),
        step.ping('us', { count: 3, size: 1392 }),
        step.ping('kernel', { count: 3, size: 1392 }),
        step.ping('us', { count: 2, size: 0, family: 6 }),
        step.ping('kernel', { count: 2, size: 1000, family: 6 }),
        step.checkHandshake,
        // When both dial, an initiation may be dropped on purpose, and counted by its sender only.
        ...(who === 'both' ? [] : [step.checkCounters]),
      ],
    };
  });
}

function events(transport: Transport): Entry[] {
  const entry = (name: string, quick: boolean, steps: readonly LabStep[], family: Family = 4): Entry => ({
    name: `${transport} v${family}: ${name}`,
    transport,
    family,
    psk: true,
    quick,
    long: false,
    steps: [step.configure, ...steps],
  });
  const start = [step.dial('us'), step.ping('us')];
  // A kernel that was not given our endpoint knows only the port that our connection came from over TCP, where nobody listens: it cannot come back to us.
  const kernelStart = transport === 'tcp' ? [step.dial('kernel'), step.ping('kernel')] : start;
  const lossy = { count: 8, mayLose: 7, interval: 0.5, within: 60 } as const;
  return [
    entry('inner fragments', true, [
      ...start,
      step.ping('us', { count: 3, size: 3000 }),
      step.ping('kernel', { count: 3, size: 4000 }),
      step.ping('us', { count: 2, size: 5000, family: 6 }),
      step.checkCounters,
    ]),
    entry('a transfer each way', true, [...start, transfer.bulk('us', 2 * MIB), transfer.bulk('kernel', 2 * MIB)]),
    entry('iperf3 each way', false, [
      ...start,
      transfer.iperf('us', 4),
      transfer.iperf('kernel', 4),
      step.ping('kernel'),
    ]),
    entry('the kernel’s address changes', false, [
      ...kernelStart,
      step.roam('kernel'),
      step.ping('us'),
      step.returnHome('kernel'),
    ]),
    entry('our address changes', true, [...start, step.roam('us'), step.ping('kernel'), step.returnHome('us')]),
    entry('our address changes', false, [...start, step.roam('us'), step.ping('kernel'), step.returnHome('us')], 6),
    entry('the kernel’s interface goes down and up', false, [
      ...kernelStart,
      step.linkDownUp,
      step.ping('kernel', transport === 'tcp' ? lossy : {}),
      step.ping('us'),
    ]),
    entry('the kernel’s interface goes down and up, we notice', false, [
      ...start,
      step.linkDownUp,
      // Nothing tells us: after KEEPALIVE_TIMEOUT and REKEY_TIMEOUT without an answer a new handshake is begun.
      step.ping('us', { count: 60, mayLose: 59, interval: 0.5, within: 45 }),
      step.ping('kernel'),
    ]),
    entry('we restart', true, [
      ...start,
      step.restart,
      step.ping('us', transport === 'tcp' ? lossy : {}),
      step.ping('kernel'),
    ]),
    entry('the path is cut', false, [...start, step.cut(4), step.ping('us', lossy), step.ping('kernel')]),
    entry('silence, then a keepalive', false, [...start, step.quiet(12), step.ping('kernel'), step.checkCounters]),
  ];
}

/** Damage between the ends. */
function damaged(): Entry[] {
  const recover = { count: 20, mayLose: 15, interval: 0.5, within: 60 } as const;
  return (['flip', 'insert', 'delete'] as const).map((what) => ({
    name: `tcp v4: ${{ flip: 'bits flip', insert: 'bytes are inserted', delete: 'bytes are lost' }[what]} on the way`,
    transport: 'tcp',
    family: 4,
    psk: false,
    quick: what === 'insert',
    long: false,
    steps: [
      step.configure,
      step.proxied,
      step.dial('us'),
      step.ping('us'),
      step.damage(what, 5),
      step.ping('us', recover),
      step.ping('kernel', recover),
      step.ping('us', { count: 5 }),
      step.checkResyncs,
    ],
  }));
}

function rekeys(transport: Transport): Entry[] {
  return (['us', 'kernel'] as const).map((initiator) => ({
    name: `${transport} v4: rekey begun by ${initiator === 'us' ? 'us' : 'the kernel'}`,
    transport,
    family: 4,
    psk: true,
    quick: false,
    long: true,
    steps: [
      step.configure,
      step.dial(initiator),
      step.ping(initiator),
      step.rekey(initiator),
      step.ping('us'),
      step.ping('kernel'),
    ],
  }));
}
