import { DamageProxy, type Damage } from '../wire/damageproxy.js';
import type { Context } from './context.js';
import { readPing } from './ping.js';
import { endpoint, hostOf, other, type Family, type Side } from './plan.js';
import type { Step } from './runner.js';
import { pause, until } from './wait.js';

/** The words that scenarios are made of. */

export type LabStep = Step<Context>;

/** Both interfaces, without endpoints, up and quiet. Captures run from here on. */
export const configure: LabStep = {
  side: 'both',
  text: 'interfaces with keys and addresses, no endpoints; captures begin',
  limit: 150,
  async run(context) {
    await Promise.all([context.us.up(), context.kernel.up()]);
    context.note('both interfaces up');
    await Promise.all([context.us.startCapture(), context.kernel.startCapture()]);
    // A kernel with TCP drops a connection that was made while routes were still changing.
    if (context.plan.transport === 'tcp') await pause(1000);
  },
};

/** Who is given the other's endpoint: he dials. */
export function dial(who: Side | 'both'): LabStep {
  return {
    side: who,
    text: who === 'both' ? 'each is given the other’s endpoint' : 'is given the other’s endpoint, and dials',
    limit: 60,
    async run(context) {
      const sides: Side[] = who === 'both' ? ['us', 'kernel'] : [who];
      context.note(`endpoint given to ${sides.join(' and ')}`);
      await Promise.all(
        sides.map(async (side) =>
          context
            .end(side)
            .setEndpoint(
              side === 'us' && context.proxy !== null
                ? endpoint(context.plan.us.outer[context.plan.family], context.proxy.port)
                : context.address(other(side)),
            ),
        ),
      );
    },
  };
}

export interface PingOptions {
  readonly count?: number;
  readonly size?: number;
  readonly family?: Family;
  /** how many of the first ones may stay without an answer */
  readonly mayLose?: number;
  /** seconds between two */
  readonly interval?: number;
  /** seconds in all */
  readonly within?: number;
}

/** Pings through the tunnel, each of which has to be answered. */
export function ping(from: Side, options: PingOptions = {}): LabStep {
  const { count = 5, size = 56, family = 4, mayLose = 0, interval = 0.2, within = 30 } = options;
  return {
    side: from,
    text: `${count} pings of ${size} bytes over IPv${family}${mayLose > 0 ? `, at most ${mayLose} lost` : ''}`,
    limit: within + 20,
    async run(context) {
      const to = context.plan[other(from)].inner[family];
      const text = await context
        .end(from)
        .sh(`ping -n -c ${count} -i ${interval} -s ${size} -w ${within} ${to}`, within + 10, true);
      const { answered, missing } = readPing(text, count);
      const sent = Number(/(\d+) packets transmitted/.exec(text)?.[1] ?? count);
      context.pings.push({ from, to, payloadBytes: size, sent, received: answered.length });
      const lost = missing.filter((n) => n <= sent);
      if (answered.length === 0 || lost.length > mayLose) {
        throw new Error(`${answered.length} of ${count} answered, missing ${missing.join(' ')}\n${text.trim()}`);
      }
      return `${answered.length} answered${lost.length > 0 ? `, ${lost.length} lost` : ''}`;
    },
  };
}

/** Both ping at the same moment, with nothing between them yet. */
export function pingBoth(options: PingOptions = {}): LabStep {
  const each = [ping('us', options), ping('kernel', options)];
  return {
    side: 'both',
    text: `at once: ${each[0]!.text}`,
    limit: each[0]!.limit,
    async run(context) {
      return (await Promise.all(each.map(async (step) => step.run(context)))).join(' and ');
    },
  };
}

/** Low traffic until the session is older than 120 s and a new handshake has taken its place. */
export function rekey(initiator: Side): LabStep {
  return {
    side: initiator,
    text: 'pings every second until the session is renewed (REKEY_AFTER_TIME is 120 s)',
    limit: 200,
    async run(context) {
      const before = await context.kernel.peer();
      const began = Date.now();
      await until('a second handshake', 160, async () => {
        await context.end(initiator).sh(`ping -n -c 2 -i 1 -w 4 ${context.plan[other(initiator)].inner[4]}`, 10, true);
        return (await context.kernel.peer()).latestHandshake > before.latestHandshake;
      });
      const seconds = (Date.now() - began) / 1000;
      if (seconds < 90) throw new Error(`a handshake after only ${seconds.toFixed(0)} s`);
      const ours = await context.us.peer();
      if (ours.latestHandshake <= before.latestHandshake - 5) throw new Error('our end has not seen the new handshake');
      return `after ${seconds.toFixed(0)} s`;
    },
  };
}

/** An address of a side changes under traffic: the other has to follow what is authenticated. */
export function roam(side: Side): LabStep {
  return {
    side,
    text: 'moves to another outer address, and pings from there',
    limit: 120,
    async run(context) {
      const { family } = context.plan;
      const { outer, spare } = context.plan[side];
      context.note(`${side}: outer address ${outer[family]} becomes ${spare[family]}`);
      await context.end(side).move(family, outer[family], spare[family]);
      const text = await ping(side, { count: 10, mayLose: 9, interval: 0.5, within: 60 }).run(context);
      await until(
        'the other side to follow',
        30,
        async () => hostOf((await context.end(other(side)).peer()).endpoint) === spare[family],
      );
      return `followed; ${text as string}`;
    },
  };
}

/** Back to where it was. */
export function returnHome(side: Side): LabStep {
  return {
    side,
    text: 'moves back to its own address',
    limit: 60,
    async run(context) {
      const { family } = context.plan;
      const { outer, spare } = context.plan[side];
      await context.end(side).move(family, spare[family], outer[family]);
    },
  };
}

/** The kernel's interface goes down, which wipes its sessions, and up again. */
export const linkDownUp: LabStep = {
  side: 'kernel',
  text: 'its interface goes down for a second, and up',
  limit: 40,
  async run(context) {
    const name = `wg${context.plan.network}`;
    context.note('kernel: interface down and up');
    await context.kernel.sh(
      `ip link set ${name} down; sleep 1; ip link set ${name} up; ip addr replace ${context.plan.kernel.inner[6]}/64 dev ${name} nodad`,
    );
  },
};

/** Our process is killed and started anew, with the same configuration. */
export const restart: LabStep = {
  side: 'us',
  text: 'is killed, and started again',
  limit: 90,
  async run(context) {
    context.note('us: killed and started again');
    context.countersLost = true;
    await context.us.kill();
    await context.us.up();
  },
};

/** An Ethernet address that nobody has; the second bit says that it is no manufacturer's. */
const NOBODY = '02:00:00:00:00:99';

/**
 * All packets between the ends are lost for a while, in both directions, and pings with them. Each end sends to an Ethernet address that nobody has: no
 * route changes by that, which a kernel with TCP would take for a reason to dial anew (fixtures/kernel, tcp-linkup-redial).
 */
export function cut(seconds: number): LabStep {
  return {
    side: 'both',
    text: `the path is dead for ${seconds} s, under traffic`,
    limit: seconds + 60,
    async run(context) {
      const { family } = context.plan;
      const sides = ['us', 'kernel'] as const;
      const neighbour = async (side: Side, command: string): Promise<unknown> =>
        context.end(side).sh(`ip neigh ${command}`);
      const at = (side: Side): string =>
        `${context.plan[other(side)].outer[family]} dev ${context.end(side).outerDevice}`;
      context.note(`path cut for ${seconds} s`);
      await Promise.all(
        sides.map(async (side) => neighbour(side, `replace ${at(side)} lladdr ${NOBODY} nud permanent`)),
      );
      const answers = await Promise.all(
        sides.map(async (side) =>
          context
            .end(side)
            .sh(`ping -n -i 0.5 -w ${seconds} ${context.plan[other(side)].inner[4]}`, seconds + 20, true),
        ),
      );
      await Promise.all(sides.map(async (side) => neighbour(side, `del ${at(side)}`)));
      const through = answers.reduce((n, text) => n + readPing(text, 0).answered.length, 0);
      if (through > 0) throw new Error(`${through} pings were answered over a dead path`);
    },
  };
}

/** A proxy in the path of our connections, which passes on what it is given until told otherwise. */
export const proxied: LabStep = {
  side: 'us',
  text: 'a TCP proxy stands between the ends',
  limit: 20,
  async run(context) {
    const { us, kernel, family } = context.plan;
    context.proxy = await DamageProxy.listen(us.outer[family], { host: kernel.outer[family], port: kernel.port });
  },
};

/** Bytes on the way are changed, lost or added, while pings go on; afterwards everything arrives again. */
export function damage(what: Damage, times: number): LabStep {
  return {
    side: 'both',
    text: `on the way, ${what === 'flip' ? 'bits flip' : what === 'insert' ? 'bytes are inserted' : 'bytes are deleted'}, ${times} times each way`,
    limit: 120,
    async run(context) {
      if (context.proxy === null) throw new Error('no proxy in the path');
      const before = context.proxy.damaged;
      context.proxy.damage(what, times);
      for (let i = 0; i < 40 && context.proxy.damaged < before + 2 * times; i++) {
        await context.us.sh(`ping -n -c 3 -i 0.2 -w 2 ${context.plan.kernel.inner[4]}`, 10, true);
      }
      context.proxy.heal();
      if (context.proxy.damaged === before) throw new Error('nothing was damaged: no traffic passed the proxy');
      return `${context.proxy.damaged - before} times`;
    },
  };
}

/**
 * Longest announcement of ours to a peer that may be one of us (core's control/message.ts), bytes: the kernel authenticates it, finds no IP packet in it,
 * and counts it among its frame errors instead of its traffic.
 */
const ANNOUNCEMENT_MAX = 128;

/** Whether what the kernel counts is what we sent, but for our announcements. */
export function isAccounted(sent: number, received: number, frameErrors: number): boolean {
  const missing = sent - received;
  return (
    missing >= 0 &&
    missing % 16 === 0 &&
    missing <= frameErrors * ANNOUNCEMENT_MAX &&
    (missing > 0 || frameErrors === 0)
  );
}

/** Packets in a link's statistics, from `ip -s -s -json link`, that were no IP packets. */
async function frameErrors(context: Context): Promise<number> {
  const text = await context.kernel.sh(`ip -s -s -json link show dev wg${context.plan.network}`);
  const [link] = JSON.parse(text) as { stats64?: { rx?: { frame_errors?: number } } }[];
  return link?.stats64?.rx?.frame_errors ?? 0;
}

/** Both ends count the same bytes, and the same as the other's. */
export const checkCounters: LabStep = {
  side: 'both',
  text: 'counters of both ends agree',
  limit: 40,
  async run(context) {
    let said = '';
    // What is under way when one end is read is counted by the other only.
    await until('equal counters', 20, async () => {
      const [us, kernel, errors] = await Promise.all([context.us.peer(), context.kernel.peer(), frameErrors(context)]);
      said = `we sent ${us.tx}, the kernel received ${kernel.rx} and ${errors} announcements; the kernel sent ${kernel.tx}, we received ${us.rx}`;
      return isAccounted(us.tx, kernel.rx, errors) && kernel.tx === us.rx;
    }).catch((error: Error) => {
      throw new Error(`${error.message}: ${said}`);
    });
    return said;
  },
};

/** Both ends know each other by now, and agree on when. */
export const checkHandshake: LabStep = {
  side: 'both',
  text: 'both ends have completed a handshake',
  limit: 40,
  async run(context) {
    const [us, kernel] = await Promise.all([context.us.peer(), context.kernel.peer()]);
    if (us.latestHandshake === 0 || kernel.latestHandshake === 0) {
      throw new Error(`we: ${us.latestHandshake}, the kernel: ${kernel.latestHandshake}`);
    }
    return `we know ${us.endpoint}, the kernel ${kernel.endpoint}`;
  },
};

/** What the tunnel has been through is looked at in our own counters. */
export const checkResyncs: LabStep = {
  side: 'us',
  text: 'damage was noticed and survived',
  limit: 30,
  async run(context) {
    const shown = JSON.parse(await context.us.wirestream('show', context.us.name, '--json')) as Record<
      string,
      { peers: Record<string, { tcp?: { resyncs: number; connections: unknown[] } }> }
    >;
    const tcp = Object.values(shown[context.us.name]!.peers)[0]!.tcp;
    if (tcp === undefined) throw new Error('no TCP counters');
    return `${tcp.resyncs} resyncs, ${tcp.connections.length} connections`;
  },
};

/** Nothing happens, for so long that a passive keepalive is due. */
export function quiet(seconds: number): LabStep {
  return {
    side: 'both',
    text: `${seconds} s of silence`,
    limit: seconds + 10,
    async run() {
      await pause(seconds * 1000);
    },
  };
}
