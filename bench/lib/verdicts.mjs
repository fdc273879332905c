import { REFERENCE } from './contestants/contestants.mjs';
import { byRound, ratio } from './series.mjs';

/**
 * What was asked of the numbers, and what they are. A criterion without the measurements that it takes is left out.
 *
 * @typedef {object} Verdict
 * @property {string} what
 * @property {string} target
 * @property {string} reached
 * @property {boolean} met
 */

const TCP = 'wirestream-tcp';
const UDP = 'wirestream-udp';
const RECORDS = 'wirestream-records';
/** What counts as no worse: rounds differ by more than that. */
const NO_WORSE = 1.1;
const MB = 1e6;

/**
 * @param {{ direct?: object, rate?: object, loss?: object, rootless?: object, micro?: object[] }} measured series by their part, as series.mjs gives them
 * @returns {Verdict[]}
 */
export function verdicts({ direct, rate, loss, rootless, micro }) {
  return [
    ...(direct === undefined
      ? []
      : [
          ...throughput(direct),
          ...processors(direct),
          ...idlePings(direct),
          ...recordPings(direct, 'the bare link'),
          ...memory(direct),
        ]),
    ...(rate === undefined ? [] : [...loadedPings(rate), ...recordPings(rate, `${rate.shape.rate} Mbit/s`)]),
    ...(loss === undefined ? [] : lossy(loss)),
    ...(rootless === undefined ? [] : userSpace(rootless)),
    ...(micro === undefined ? [] : streams(micro)),
  ];
}

function throughput(direct) {
  const [few, many] = [direct.flows[0], direct.flows.at(-1)];
  const goodput = (flows) => (result) => result.loads[flows].mbits;
  return [
    [TCP, 6],
    [RECORDS, 10],
    [UDP, 4],
  ].flatMap(([id, times]) => {
    const out = [];
    const by = ratio(direct, id, REFERENCE, goodput(few));
    if (by !== null) out.push(atLeast(`${id}: goodput of ${few} flow by ${REFERENCE}'s`, times, by.median, '×'));
    const own = find(direct, id);
    if (own !== undefined && many > few) {
      const more = byRound(own.loads[many].mbits, own.loads[few].mbits);
      if (more !== null) out.push(atLeast(`${id}: goodput of ${many} flows by that of ${few}`, 1, more.median, '×'));
    }
    return out;
  });
}

function userSpace({ results: [pasta, ...tunnels] }) {
  return tunnels.map(({ what, mbits }) =>
    atLeast(`${what}: goodput of one flow by pasta's`, 1, mbits / pasta.mbits, '×'),
  );
}

function processors(direct) {
  const flows = direct.flows[0];
  return [
    [TCP, 0.2],
    [RECORDS, 0.1],
    [UDP, 0.2],
  ].flatMap(([id, times]) => {
    const by = ratio(direct, id, REFERENCE, (result) => result.loads[flows].cpuPerGB);
    return by === null
      ? []
      : [atMost(`${id}: CPU seconds per GB, both ends, by ${REFERENCE}'s`, times, by.median, '×')];
  });
}

function idlePings(direct) {
  const reference = find(direct, REFERENCE)?.idlePing?.p50;
  if (reference === undefined) return [];
  return [TCP, RECORDS, UDP].flatMap((id) => {
    const own = find(direct, id)?.idlePing?.p50;
    return own === undefined ? [] : [atMost(`${id}: idle ping, median (target: ${REFERENCE}'s)`, reference, own, 'ms')];
  });
}

/** Longer records must not make others wait longer. */
function recordPings(series, on) {
  const [standard, records] = [TCP, RECORDS].map((id) => find(series, id));
  if (standard === undefined || records === undefined) return [];
  return ['idlePing', 'loadedPing'].flatMap((kind) => {
    if (!standard[kind] || !records[kind]) return [];
    const what = `ping ${kind === 'idlePing' ? 'idle' : 'under load'} on ${on}, median, with offload records by that without`;
    return [atMost(what, NO_WORSE, records[kind].p50 / standard[kind].p50, '×')];
  });
}

function memory(direct) {
  return [TCP, RECORDS, UDP].flatMap((id) => {
    const own = find(direct, id);
    if (own === undefined) return [];
    const most = direct.flows.flatMap((flows) => [
      own.loads[flows].memorySender.max,
      own.loads[flows].memoryReceiver.max,
    ]);
    return [atMost(`${id}: resident memory under load, the larger end`, 100, Math.max(...most) / MB, 'MB')];
  });
}

function loadedPings(rate) {
  return [TCP, RECORDS, UDP].flatMap((id) => {
    const own = find(rate, id);
    if (!own?.idlePing || !own.loadedPing) return [];
    const more = own.loadedPing.p50 - own.idlePing.p50;
    return [atMost(`${id}: ping under load at ${rate.shape.rate} Mbit/s, median, above idle`, 30, more, 'ms')];
  });
}

function lossy(loss) {
  const flows = loss.flows[0];
  const on = `${loss.shape.loss} % loss, ${loss.shape.rtt} ms`;
  const out = [];
  const by = ratio(loss, TCP, UDP, (result) => result.loads[flows].mbits);
  if (by !== null) out.push(atLeast(`goodput over TCP by that over UDP at ${on}`, 1.5, by.median, '×'));
  const records = ratio(loss, RECORDS, TCP, (result) => result.loads[flows].mbits);
  if (records !== null) {
    out.push(atLeast(`goodput with offload records by that without at ${on}`, 1 / NO_WORSE, records.median, '×'));
    out.push(...recordPings(loss, on));
  }
  for (const id of [TCP, RECORDS, UDP]) {
    const stall = find(loss, id)?.loads[flows].longestStall;
    if (stall) out.push(atMost(`${id}: longest stall in ${loss.seconds} s at ${on}`, 2, stall.max, 's'));
  }
  return out;
}

function streams(micro) {
  const of = (id) => micro.find((result) => result.id === id);
  return [
    ['reader', 'record reader, clean stream', 3],
    ['resync-random', 'resynchronisation, random bytes', 300],
  ].flatMap(([id, what, target]) => {
    const result = of(id);
    return result === undefined ? [] : [atLeast(what, target, result.median, result.unit)];
  });
}

const find = (series, id) => series.results.find((result) => result.id === id);
const number = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const verdict = (what, sign, target, value, unit, met) => ({
  what,
  target: `${sign} ${number(target)} ${unit}`,
  reached: `${number(value)} ${unit}`,
  value,
  met,
});
const atLeast = (what, target, value, unit) => verdict(what, '>=', target, value, unit, value >= target);
const atMost = (what, target, value, unit) => verdict(what, '<=', target, value, unit, value <= target);
