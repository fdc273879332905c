import { openArena } from './arena.mjs';
import { idle, load, together } from './measure.mjs';
import { shapeTitle } from './link/shape.mjs';
import { summary } from './statistics.mjs';

/**
 * One series: the same links for everybody, several rounds, in each of which everybody is measured once. Every round begins with another
 * one, so that nobody always runs after the same neighbour.
 *
 * @param {object} lab
 * @param {{ name: string, shape: object | null, contestants: object[], rounds: number, seconds: number, idleSeconds: number, flows: number[] }} plan
 * @param {object} options as openArena takes them
 */
export async function runSeries(lab, plan, options) {
  const { name, shape, contestants, rounds, seconds, idleSeconds, flows } = plan;
  const { say, congestion } = options;
  say(`${name}: ${shapeTitle(shape)}`);
  const arena = await openArena(lab, contestants, shape, options);
  const measured = new Map(arena.entries.map(({ contestant }) => [contestant.id, []]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < arena.entries.length; turn++) {
      const entry = arena.entries[(turn + round) % arena.entries.length];
      const { id } = entry.contestant;
      const result = { idle: await idle(entry, idleSeconds), loads: {} };
      // Pings beside the first of the transfers only.
      for (const [i, count] of flows.entries()) {
        result.loads[count] = await load(entry, { seconds, flows: count, congestion, pings: i === 0 });
      }
      measured.get(id).push(result);
      say(`  round ${round + 1}/${rounds} ${id.padEnd(15)} ${brief(result)}`);
    }
  }
  await arena.close();
  const results = arena.entries.map(({ contestant }) => digest(contestant, measured.get(contestant.id), flows));
  return { name, shape, rounds, seconds, flows, results };
}

function brief({ loads }) {
  return Object.values(loads)
    .map(({ flows, mbits, cpuPerGB, retransmits }) => {
      const cpu = cpuPerGB.both === null ? '' : `, ${cpuPerGB.both.toFixed(1)} CPU s/GB`;
      return `${flows} flow${flows > 1 ? 's' : ''} ${mbits.toFixed(0)} Mbit/s${cpu}, ${retransmits} retransmits`;
    })
    .join('; ');
}

/** The rounds of one contestant, summed up. */
function digest({ id, title }, rounds, flows) {
  const per = (pick) => summary(rounds.map(pick));
  const loads = Object.fromEntries(
    flows.map((count) => {
      const of = (pick) => per(({ loads: all }) => pick(all[count]));
      return [
        count,
        {
          mbits: of(({ mbits }) => mbits),
          retransmits: of(({ retransmits }) => retransmits),
          cpuPerGB: of(({ cpuPerGB }) => cpuPerGB.both),
          cpuPerGBSender: of(({ cpuPerGB }) => cpuPerGB.a),
          cpuPerGBReceiver: of(({ cpuPerGB }) => cpuPerGB.b),
          machinePerGB: of(({ machinePerGB }) => machinePerGB),
          memorySender: of(({ memory }) => memory.a),
          memoryReceiver: of(({ memory }) => memory.b),
          longestStall: of(({ longestStall }) => longestStall),
          intervals: rounds.map(({ loads: all }) => all[count].intervals),
        },
      ];
    }),
  );
  return {
    id,
    title,
    loads,
    idlePing: together(rounds.map(({ idle: one }) => one)),
    loadedPing: together(rounds.map(({ loads: all }) => all[flows[0]].ping)),
  };
}

/** Round by round, one contestant's value by another's: the median of the ratios, with the extremes. */
export function ratio(series, id, reference, pick) {
  const [one, two] = [id, reference].map((wanted) => series.results.find((result) => result.id === wanted));
  return one === undefined || two === undefined ? null : byRound(pick(one), pick(two));
}

/** The same of two measures that were taken in the same rounds. */
export function byRound(measure, reference) {
  const [values, by] = [measure?.values, reference?.values];
  if (values === undefined || by === undefined) return null;
  return summary(values.map((value, round) => (by[round] > 0 ? value / by[round] : null)));
}
