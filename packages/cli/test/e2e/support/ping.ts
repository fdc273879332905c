import type { Child } from './command.js';
import type { Namespace } from './netns.js';
import { until } from './until.js';

/** Sequence numbers: requests sent, and those of them that were never answered. */
export interface PingResult {
  readonly sent: number;
  readonly lost: readonly number[];
}

/**
 * As many requests as fast as they are answered, or 100 a second. ping(8) by itself gives up on the last ones after twice
 * the longest round trip, which on a busy machine is too soon: with a deadline it goes on until it has had so many replies.
 */
export async function flood(ns: Namespace, target: string, count: number): Promise<PingResult> {
  const argv = ['ping', '-n', '-i', '0', '-c', String(count), '-w', '15', target];
  const { stdout, stderr } = await ns.run(argv, { deadline: 30_000 });
  if (!stdout.includes('packets transmitted')) throw new Error(`${argv.join(' ')}: ${stdout}${stderr}`);
  const answered = new Set([...stdout.matchAll(/ icmp_seq=(\d+) ttl=/g)].map(([, seq]) => Number(seq)));
  return { sent: count, lost: numbers(count).filter((seq) => !answered.has(seq)) };
}

/** Exactly so many requests, and as many as were answered before ping(8) lost its patience. */
export async function burst(ns: Namespace, target: string, count: number): Promise<number> {
  const { stdout } = await ns.run(['ping', '-q', '-f', '-n', '-W', '1', '-c', String(count), target]);
  return Number(/ (\d+) received/.exec(stdout)![1]);
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

/** One echo request and its reply, or null after `seconds` without. */
export async function ping(
  ns: Namespace,
  target: string,
  seconds = 1,
  args: readonly string[] = [],
): Promise<string | null> {
  const { code, stdout } = await ns.run(['ping', '-n', '-c', '1', '-W', String(seconds), ...args, target]);
  return code === 0 ? stdout : null;
}

/** Waits until pings are answered. */
export async function reachable(ns: Namespace, target: string, deadline = 15_000): Promise<void> {
  await until(`replies from ${target}`, async () => ping(ns, target), { deadline, every: 20 });
}

/** Pings all the time, and knows when which was answered. */
export class Pinger {
  readonly #child: Child;
  #parsed = 0;
  readonly #replies = new Map<number, number>();

  private constructor(child: Child) {
    this.#child = child;
  }

  /** @param perSecond how many a second */
  static start(ns: Namespace, target: string, perSecond = 20): Pinger {
    // -O also tells of each request that has had no reply when the next one goes out.
    return new Pinger(ns.spawn(['ping', '-n', '-O', '-D', '-i', String(1 / perSecond), target]));
  }

  /** Sequence number → wall clock of the reply, ms. */
  get replies(): ReadonlyMap<number, number> {
    const text = this.#child.stdout;
    const end = text.lastIndexOf('\n') + 1;
    for (const [, at, seq] of text
      .slice(this.#parsed, end)
      .matchAll(/^\[([\d.]+)\] \d+ bytes from .* icmp_seq=(\d+) /gm)) {
      this.#replies.set(Number(seq), Number(at) * 1000);
    }
    this.#parsed = end;
    return this.#replies;
  }

  /** Waits for the first reply that comes at or after that wall clock. @returns its wall clock, ms */
  async replyAfter(wall: number, deadline = 15_000): Promise<number> {
    return until(
      'a reply to a running ping',
      () => {
        const times = [...this.replies.values()].filter((at) => at >= wall);
        return times.length > 0 && Math.min(...times);
      },
      { deadline, every: 10 },
    );
  }

  /**
   * Ends it.
   * @returns how many went out, and the numbers of those that a later one's reply overtook; what was under way at the end is not lost
   */
  async stop(): Promise<PingResult> {
    const { stdout } = await this.#child.stop('SIGINT');
    const sent = Number(/(\d+) packets transmitted/.exec(stdout)![1]);
    const { replies } = this;
    const lost = numbers(Math.max(0, ...replies.keys())).filter((seq) => !replies.has(seq));
    return { sent, lost };
  }
}
