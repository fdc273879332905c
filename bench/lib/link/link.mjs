import path from 'node:path';
import { must } from '../run.mjs';

export const OUTER = { a: '192.0.2.1', b: '192.0.2.2' };
/** What both ends of the link are called in their namespaces. */
export const DEVICE = 'eth0';
/** The link's MTU: Ethernet's. */
const MTU = 1500;
/** Packets that the kernel may hold for the emulator before it reads them. */
const TXQUEUE = 2000;

const EMULATOR = path.join(import.meta.dirname, 'emulator.mjs');

/**
 * Joins two namespaces.
 * @param {import('../lab.mjs').Lab} lab
 * @param {{ a: import('../lab.mjs').Namespace, b: import('../lab.mjs').Namespace }} pair
 * @param {import('./shape.mjs').Shape | null} shape null: a bare veth pair
 * @param {{ netem: boolean, queue: number, seed: number, mtu?: number }} options
 */
export async function joinNamespaces(lab, { a, b }, shape, { netem, queue, seed, mtu = MTU }) {
  const emulated = shape !== null && !netem;
  if (emulated) await emulate(lab, [a, b], shape, { queue, seed });
  else must(['ip', '-n', a.name, 'link', 'add', DEVICE, 'type', 'veth', 'peer', 'name', DEVICE, 'netns', b.name]);
  for (const [namespace, end] of [
    [a, 'a'],
    [b, 'b'],
  ]) {
    // A wire carries packets, not super-packets: with netem each of those would be lost as one.
    const plain = shape !== null && netem ? ' gso_max_segs 1' : '';
    const txqueue = emulated ? ` txqueuelen ${TXQUEUE}` : '';
    namespace.ip(
      `address add ${OUTER[end]}/24 dev ${DEVICE}`,
      `link set dev ${DEVICE} mtu ${mtu}${plain}${txqueue} up`,
    );
    if (shape !== null && netem) must(netemCommand(namespace.name, shape, queue));
  }
}

/** tc(8) for one direction. Its limit counts what is on its way as well as what waits. */
export function netemCommand(namespace, { rtt, loss, rate }, queue) {
  const inFlight = rate === 0 ? 20_000 : Math.ceil((((rate * 1e6) / 8) * (rtt / 2000)) / MTU);
  const words = ['tc', '-n', namespace, 'qdisc', 'add', 'dev', DEVICE, 'root', 'netem'];
  words.push('limit', `${queue + inFlight}`, 'delay', `${rtt / 2}ms`, 'loss', `${loss}%`);
  if (rate > 0) words.push('rate', `${rate}mbit`);
  return words;
}

async function emulate(lab, namespaces, shape, { queue, seed }) {
  const ends = namespaces.map(({ file }) => ({ namespace: file, device: DEVICE }));
  const { child, done } = lab.start([process.execPath, EMULATOR, JSON.stringify({ ends, ...shape, queue, seed })]);
  await Promise.race([
    new Promise((resolve) => child.stdout.once('data', resolve)),
    done.then(({ stderr }) => {
      throw new Error(`the link emulator ended: ${stderr.trim()}`);
    }),
  ]);
}

/** Whether this kernel has netem. */
export function hasNetem(lab) {
  const namespace = lab.namespace('netem');
  try {
    must(netemCommand(namespace.name, { rtt: 0, loss: 0, rate: 0 }, 1).map((word) => (word === DEVICE ? 'lo' : word)));
    return true;
  } catch {
    return false;
  } finally {
    must(['ip', 'netns', 'del', namespace.name]);
  }
}
