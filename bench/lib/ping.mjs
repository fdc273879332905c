import { must, start } from './run.mjs';

/** Whether an address answers one echo request within a second. */
export function answers(namespace, address) {
  try {
    must(namespace.inside(['ping', '-n', '-c', '1', '-W', '1', address]));
    return true;
  } catch {
    return false;
  }
}

/**
 * Round-trip times for so many seconds.
 * @param interval s between two requests
 * @returns {Promise<{ times: number[], lost: number }>} times in ms; lost: how many had no answer in time
 */
export async function ping(namespace, address, { seconds, interval }) {
  const count = Math.max(2, Math.round(seconds / interval));
  const { done } = start(namespace.inside(['ping', '-n', '-i', `${interval}`, '-c', `${count}`, '-W', '2', address]), {
    deadline: seconds * 1000 + 10_000,
  });
  const { stdout } = await done;
  const times = [...stdout.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms));
  const sent = Number(/(\d+) packets transmitted/.exec(stdout)?.[1] ?? count);
  return { times, lost: Math.max(0, sent - times.length) };
}
