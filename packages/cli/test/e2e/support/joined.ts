import { must } from './command.js';
import { identity, type Identity } from './keys.js';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { ping } from './ping.js';
import { descriptors } from './proc.js';
import type { Scope } from './scope.js';
import type { Host } from './topology.js';
import { until } from './until.js';
import { formatWgQuick, type FilePeer } from './wgquick.js';
import { Wirestream } from './wirestream.js';

/** The port that both listen on. */
export const PORT = 51820;

export interface End {
  readonly host: Host;
  readonly keys: Identity;
  /** address inside the tunnel */
  readonly inner: string;
  readonly tunnel: Wirestream;
  /** what this end has been told of the other */
  readonly peer: FilePeer;
}

/** Two hosts with a tunnel of ours over TCP between them. */
export interface Joined {
  readonly a: End;
  readonly b: End;
}

export interface JoinOptions {
  /** where each end is told that the other is; absent: it cannot dial */
  readonly aDials?: string;
  readonly bDials?: string;
  readonly persistentKeepalive?: number;
}

export async function joinHosts(scope: Scope, a: Host, b: Host, options: JoinOptions): Promise<Joined> {
  const keys = { a: identity(), b: identity() };
  const inner = { a: '10.7.0.1', b: '10.7.0.2' };
  const end = async (mine: 'a' | 'b', other: 'a' | 'b', host: Host, dials: string | undefined): Promise<End> => {
    const peer: FilePeer = {
      publicKey: keys[other].publicKey,
      allowedIPs: [`${inner[other]}/32`],
      ...(dials === undefined ? {} : { endpoint: dials }),
      ...(options.persistentKeepalive === undefined || dials === undefined
        ? {}
        : { persistentKeepalive: options.persistentKeepalive }),
    };
    const tunnel = await Wirestream.up(scope, host.ns, {
      iface: {
        privateKey: keys[mine].privateKey,
        listenPort: PORT,
        transport: 'tcp',
        address: [`${inner[mine]}/24`],
      },
      peers: [peer],
    });
    return { host, keys: keys[mine], inner: inner[mine], tunnel, peer };
  };
  const [atA, atB] = await Promise.all([end('a', 'b', a, options.aDials), end('b', 'a', b, options.bDials)]);
  return { a: atA, b: atB };
}

/** Makes both forget everything of each other but what they were told at first: keys, connections, addresses learned. */
export async function forget(scope: Scope, { a, b }: Joined): Promise<void> {
  const directory = scope.directory();
  await Promise.all(
    [a, b].map(async ({ tunnel, keys, peer }) => {
      const file = join(directory, tunnel.name);
      writeFileSync(file, formatWgQuick({ privateKey: keys.privateKey, listenPort: PORT }, [peer]), { mode: 0o600 });
      await must(['wg', 'setconf', tunnel.name, file]);
    }),
  );
}

/**
 * Waits until all is calm: pings pass both ways, each end uses one authenticated connection, none is half-way, and both use
 * the same one. @throws when it never comes to that
 */
export async function settled({ a, b }: Joined, deadline = 15_000): Promise<void> {
  await until('pings from a to b', async () => ping(a.host.ns, b.inner), { deadline });
  await until('pings from b to a', async () => ping(b.host.ns, a.inner), { deadline });
  await until(
    'one active connection at each end, and the same one',
    async () => {
      const [atA, atB] = [await a.tunnel.snapshot(), await b.tunnel.snapshot()];
      const actives = [atA, atB].map(({ peers }) => peers[0]!.connections.filter(({ active }) => active));
      const unrest = [atA, atB].some(
        ({ peers, pending }) =>
          pending.size > 0 || peers[0]!.connections.some(({ state }) => state === 'dialling' || state === 'draining'),
      );
      const [one, two] = [actives[0]![0], actives[1]![0]];
      if (unrest || actives.some(({ length }) => length !== 1)) return false;
      return one!.direction !== two!.direction && one!.state === 'authenticated' && two!.state === 'authenticated';
    },
    { deadline },
  );
}

/** Waits until each daemon has as many open descriptors again as before, but for those of its peers' connections. */
export async function noLeak(joined: Joined, before: readonly [number, number]): Promise<void> {
  const same = async (): Promise<boolean> => {
    const now = await ownDescriptors(joined);
    if (now[0] === before[0] && now[1] === before[1]) return true;
    const held = [joined.a, joined.b].map(({ tunnel }) => descriptors(tunnel.pid).join(' '));
    throw new Error(`before ${before.join(' and ')}, now ${now.join(' and ')}: ${held.join('\nand ')}`);
  };
  // What a client of the control socket has just closed, the daemon closes a moment later.
  await until('all other descriptors to be closed', same, { deadline: 5000, every: 100 });
}

/** Open descriptors of each daemon, but for those of its peers' connections. */
export async function ownDescriptors({ a, b }: Joined): Promise<[number, number]> {
  const count = async ({ tunnel }: End): Promise<number> =>
    descriptors(tunnel.pid).length - (await tunnel.peer()).connections.length;
  return [await count(a), await count(b)];
}
