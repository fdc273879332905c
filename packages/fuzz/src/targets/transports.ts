import fc from 'fast-check';
import { autoWorld, blocked, blockedForAWhile, flapping, listenerMoves } from '../sim/transports.js';
import { must, mustEqual, target } from '../target.js';

/** What is promised of `Transport = auto` and of listeners that move (docs/rootless.md, device/path.ts), by the kind of network. */
const NETWORKS: Readonly<Record<string, (seed: number) => void>> = {
  'where UDP passes it carries, and nothing is lost': (seed) => {
    const { paths, moves, lost } = blocked(seed, Infinity, Infinity, 40);
    mustEqual([paths, moves, lost], [['udp', 'udp'], 0, []], 'paths, moves and losses');
  },
  'where UDP never passed TCP carries within a second': (seed) => {
    const { paths, outage, lost } = blocked(seed, -1, -1, 40);
    mustEqual([paths, lost], [['tcp', 'tcp'], []], 'paths and losses');
    must(outage < 1_000, `nothing for ${outage} ms`);
  },
  'where UDP ceases to pass TCP carries within 8 s, and goes on': (seed) => {
    const { paths, outage, moves } = blocked(seed, Infinity, -1, 60);
    mustEqual([paths, moves], [['tcp', 'tcp'], 1], 'paths and moves');
    must(outage < 8_000, `nothing for ${outage} ms`);
  },
  'where long datagrams never passed TCP carries, and nothing is lost after 8 s': (seed) => {
    const { paths, outage, lost } = blocked(seed, 600, 600, 60, 1_400);
    mustEqual(paths, ['tcp', 'tcp'], 'paths');
    must(outage < 8_000 && lost.every((id) => id < 40), `nothing for ${outage} ms, lost ${lost.join(' ')}`);
  },
  'where UDP passes again it carries again, and nothing is lost by that': (seed) => {
    const { meanwhile, after, backAfter } = blockedForAWhile(seed, seed % 41);
    mustEqual([meanwhile.paths, after.paths, after.lost], [['tcp', 'tcp'], ['udp', 'udp'], []], 'paths and losses');
    must(backAfter < 21_000, `back after ${backAfter} ms`);
  },
  'where UDP passes now and then nobody runs to and fro': (seed) => {
    const { moves } = flapping(seed, 20_000 + (seed % 10_000), 12_000 + (seed % 6_000));
    must(moves < 12, `${moves} moves in ten minutes`);
  },
  'who answers no probes is given up on UDP when its handshakes fail': (seed) => {
    const world = autoWorld(seed);
    Object.assign(world.host(1).device, { extensions: seed % 2 === 0, abilities: 0 });
    world.pingEvery(200, 0, 1, 60 * 5);
    world.run(10_000);
    mustEqual(world.peer(0, 1).path.current, 'udp', 'path at first');
    world.limitDatagrams(0, 1, -1);
    world.run(40_000);
    mustEqual([world.peer(0, 1).path.current, world.peer(1, 0).path.current], ['tcp', 'tcp'], 'paths in the end');
    world.stop();
  },
  'a listener that moved is dialled where it said to be': (seed) => {
    mustEqual(listenerMoves(seed, true), { lost: [], dialled: [51_820, 51_820, 51_999] }, 'losses and dials');
  },
  'without control messages nobody is told where a listener went': (seed) => {
    const { lost, dialled } = listenerMoves(seed, false);
    must(lost.length > 10 && dialled.every((port) => port === 51_820), 'who told it?');
  },
};

interface Situation {
  readonly network: string;
  readonly seed: number;
}

export const transports = target<Situation>({
  name: 'transports',
  says: 'what is promised of Transport = auto, and of listeners that move, holds for any random numbers (sim/transports.ts)',
  runs: 9,
  arbitrary: fc.record({
    network: fc.constantFrom(...Object.keys(NETWORKS)),
    seed: fc.integer({ min: 1, max: 0x7fffffff }),
  }),
  check: ({ network, seed }) => NETWORKS[network]!(seed),
});
