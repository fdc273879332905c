import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../scripts/lib/setup.mjs';
import { IDS } from './contestants/contestants.mjs';
import { parseShape } from './link/shape.mjs';

export const HELP = `npm run bench -- [OPTION]…

Measures tunnels between pairs of network namespaces on this machine, in turns. Needs root. Without options: the bare link, then a link of
100 Mbit/s, then one with 40 ms and 1 % loss, two ends in user space, the micro-benchmarks, and what was asked of them.

  --rounds N         rounds on the bare link (5)
  --shape-rounds N   rounds on each other link (3)
  --seconds N        length of each transfer (5)
  --only LIST        of ${IDS.join(', ')}
  --flows LIST       numbers of parallel TCP flows (1,4)
  --congestion NAME  congestion control of the flows inside the tunnels (cubic); carriers over TCP have the system's
  --no-offload       wirestream without TUN offload
  --shape LINK       instead of the three links: DELAY_MS,LOSS%,RATE_MBIT, as in 40,1%,100. The delay is that of a round trip, half of it each
                     way; loss is each way; no rate or 0: no limit. Several: again, or with a space in between
  --queue N          packets that wait where a link has a rate (100)
  --netem            shape with the kernel's netem instead of the built-in emulator
  --seed N           of the emulator's losses (1)
  --quick            less of everything, done within two minutes
  --micro            only the micro-benchmarks
  --rootless         only two ends in user space, beside pasta; needs no root
  --heap SECONDS     only a transfer of that length, with a profile of what the engine allocates
  --json FILE        where the results go (bench/results/bench.json)
  --svg FILE         where the chart goes (bench/results/bench.svg)
  --markdown         print the tables as Markdown
  --help`;

/** What a full and a quick run do. Seconds of the lossy link: the judged stall is looked for in 60. */
const FULL = { rounds: 5, shapeRounds: 3, seconds: 5, idleSeconds: 1, lossSeconds: 60, lossRounds: 2 };
const QUICK = { rounds: 2, shapeRounds: 1, seconds: 2, idleSeconds: 0.5, lossSeconds: 10, lossRounds: 1 };

/**
 * @param {string[]} argv what follows the command
 * @throws Error with what is wrong
 */
export function parseOptions(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      rounds: { type: 'string' },
      'shape-rounds': { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      flows: { type: 'string', default: '1,4' },
      congestion: { type: 'string', default: 'cubic' },
      'no-offload': { type: 'boolean', default: false },
      shape: { type: 'string', multiple: true },
      queue: { type: 'string', default: '100' },
      netem: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      quick: { type: 'boolean', default: false },
      micro: { type: 'boolean', default: false },
      rootless: { type: 'boolean', default: false },
      heap: { type: 'string' },
      json: { type: 'string' },
      svg: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const preset = values.quick ? QUICK : FULL;
  const name = values.micro
    ? 'micro'
    : values.rootless
      ? 'rootless'
      : values.heap !== undefined
        ? 'heap'
        : values.quick
          ? 'quick'
          : 'bench';
  const file = (given, extension) => path.resolve(given ?? path.join(ROOT, 'bench/results', `${name}.${extension}`));
  const only = words(values.only);
  for (const id of only)
    if (!IDS.includes(id)) throw new Error(`--only: no contestant ${id}; there are ${IDS.join(', ')}`);
  return {
    ...preset,
    rounds: number('rounds', values.rounds, preset.rounds),
    shapeRounds: number('shape-rounds', values['shape-rounds'], preset.shapeRounds),
    seconds: number('seconds', values.seconds, preset.seconds),
    only: only.length === 0 ? IDS : only,
    flows: words(values.flows).map((word) => number('flows', word)),
    congestion: values.congestion,
    offload: !values['no-offload'],
    shapes: values.shape?.flatMap((text) => text.trim().split(/[\s;]+/)).map(parseShape) ?? null,
    queue: number('queue', values.queue),
    netem: values.netem,
    seed: number('seed', values.seed),
    quick: values.quick,
    micro: values.micro,
    rootless: values.rootless,
    heap: values.heap === undefined ? null : number('heap', values.heap),
    json: file(values.json, 'json'),
    svg: file(values.svg, 'svg'),
    markdown: values.markdown,
    help: values.help,
  };
}

const words = (text) => (text ?? '').split(',').filter((word) => word !== '');

function number(option, text, fallback) {
  if (text === undefined && fallback !== undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${option}: a whole number from 1 on, not ${JSON.stringify(text)}`);
  return value;
}
