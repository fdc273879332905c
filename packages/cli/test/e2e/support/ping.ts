import type { Child } from './command.js';
import type { Namespace } from './netns.js';
import { until } from './until.js';

export interface PingResult {
  readonly sent: number;
  readonly received: number;
}

/** A run of ping(8) to its end. Flooding, unless `args` say otherwise. */
export async function flood(
  ns: Namespace,
  target: string,
  count: number,
  args: readonly string[] = [],
): Promise<PingResult> {
  const argv = ['ping', '-q', '-f', '-n', '-W', '1', '-c', String(count), ...args, target];
  const { stdout, stderr } = await ns.run(argv, { deadline: 60_000 });
  const match = /(\d+) packets transmitted, (\d+) received/.exec(stdout);
  if (match === null) throw new Error(`${argv.join(' ')}: ${stdout}${stderr}`);
  return { sent: Number(match[1]), received: Number(match[2]) };
}

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

  /** Ends it. @returns how many went out, and the numbers of those without a reply */
  async stop(): Promise<{ sent: number; lost: number[] }> {
    const { stdout } = await this.#child.stop('SIGINT');
    const sent = Number(/(\d+) packets transmitted/.exec(stdout)![1]);
    const { replies } = this;
    const lost = Array.from({ length: sent }, (_, i) => i + 1).filter((seq) => !replies.has(seq));
    return { sent, lost };
  }
}
