import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './command.js';
import { identity, type Identity } from './keys.js';
import { ping } from './ping.js';
import { descriptors } from './proc.js';
import type { Scope } from './scope.js';
import type { Host } from './topology.js';
import { pause, until } from './until.js';
import { formatWgQuick, type FileInterface, type FilePeer } from './wgquick.js';
import { Wirestream } from './wirestream.js';

/** The port that both listen on. */
export const PORT = 51820;

const INNER = { a: '10.7.0.1', b: '10.7.0.2' };

export interface End {
  readonly host: Host;
  readonly keys: Identity;
  /** address inside the tunnel */
  readonly inner: string;
  readonly tunnel: Wirestream;
  readonly iface: FileInterface;
}

/** Where each end is told that the other is; absent: it cannot dial. */
export interface Directions {
  readonly aDials?: string;
  readonly bDials?: string;
}

/** Two hosts with a tunnel of ours over TCP between them. */
export class Joined {
  readonly #directory: string;
  #directions: Directions;

  private constructor(
    scope: Scope,
    readonly a: End,
    readonly b: End,
    directions: Directions,
  ) {
    this.#directory = scope.directory();
    this.#directions = directions;
  }

  static async up(scope: Scope, a: Host, b: Host, directions: Directions): Promise<Joined> {
    const keys = { a: identity(), b: identity() };
    const end = async (mine: 'a' | 'b', host: Host): Promise<End> => {
      const iface = {
        privateKey: keys[mine].privateKey,
        listenPort: PORT,
        transport: 'tcp',
        address: [`${INNER[mine]}/24`],
      } as const;
      const peers = [peerOf(mine, keys[mine === 'a' ? 'b' : 'a'], directions)];
      const tunnel = await Wirestream.up(scope, host.ns, { iface, peers });
      return { host, keys: keys[mine], inner: INNER[mine], tunnel, iface };
    };
    const [atA, atB] = await Promise.all([end('a', a), end('b', b)]);
    return new Joined(scope, atA, atB, directions);
  }

  /**
   * Makes both forget everything of each other, keys, connections and addresses learned, but what they are told now, or were told
   * before; the same for the next `up`.
   */
  async forget(directions = this.#directions): Promise<void> {
    this.#directions = directions;
    // First both without peers: who still knows the other would come back at once under keys that the other has lost.
    await Promise.all([this.a, this.b].map(async (end) => this.#configure(end, [])));
    const tell = async (mine: 'a' | 'b', end: End, other: End): Promise<void> => {
      const peers = [peerOf(mine, other.keys, directions)];
      end.tunnel.write({ iface: end.iface, peers });
      await this.#configure(end, peers);
    };
    await Promise.all([tell('a', this.a, this.b), tell('b', this.b, this.a)]);
  }

  async #configure({ tunnel, iface }: End, peers: readonly FilePeer[]): Promise<void> {
    const file = join(this.#directory, `${tunnel.name}.conf`);
    writeFileSync(file, formatWgQuick({ privateKey: iface.privateKey, listenPort: PORT }, peers), { mode: 0o600 });
    await must(['wg', 'setconf', tunnel.name, file]);
  }

  /**
   * Waits until all is calm: pings pass both ways, each end uses one authenticated connection, none is half-way, and both use
   * the same one. @throws when it never comes to that
   */
  async settled(deadline = 15_000): Promise<void> {
    const { a, b } = this;
    await until('pings from a to b', async () => ping(a.host.ns, b.inner), { deadline });
    await until('pings from b to a', async () => ping(b.host.ns, a.inner), { deadline });
    await until('one active connection at each end, and the same one', async () => this.#isCalm(), { deadline });
  }

  async #isCalm(): Promise<boolean> {
    const both = [await this.a.tunnel.snapshot(), await this.b.tunnel.snapshot()];
    const actives = both.map(({ peers }) => peers[0]!.connections.filter(({ active }) => active));
    const unrest = both.some(
      ({ peers, pending }) =>
        pending.size > 0 || peers[0]!.connections.some(({ state }) => state === 'dialling' || state === 'draining'),
    );
    if (unrest || actives.some(({ length }) => length !== 1)) return false;
    const [one, two] = actives.flat();
    return one!.direction !== two!.direction && one!.state === 'authenticated' && two!.state === 'authenticated';
  }

  /** Open descriptors of each daemon, but for those of its peers' connections. */
  async descriptors(): Promise<[number, number]> {
    // What a client of the control socket has just closed, the daemon closes a moment later.
    return until(
      'the number of descriptors to stay the same',
      async () => {
        const [before, , after] = [await this.#descriptors(), await pause(100), await this.#descriptors()];
        return before[0] === after[0] && before[1] === after[1] && after;
      },
      { every: 0 },
    );
  }

  async #descriptors(): Promise<[number, number]> {
    const count = async ({ tunnel }: End): Promise<number> =>
      descriptors(tunnel.pid).length - (await tunnel.peer()).connections.length;
    return [await count(this.a), await count(this.b)];
  }

  /** Waits until each daemon has as many descriptors of its own again as before. */
  async noLeak(before: readonly [number, number]): Promise<void> {
    const same = async (): Promise<boolean> => {
      const now = await this.descriptors();
      if (now[0] === before[0] && now[1] === before[1]) return true;
      const held = [this.a, this.b].map(({ tunnel }) => descriptors(tunnel.pid).join(' '));
      throw new Error(`before ${before.join(' and ')}, now ${now.join(' and ')}: ${held.join('\nand ')}`);
    };
    await until('all other descriptors to be closed', same, { deadline: 5000, every: 100 });
  }
}

function peerOf(mine: 'a' | 'b', other: Identity, { aDials, bDials }: Directions): FilePeer {
  const dials = mine === 'a' ? aDials : bDials;
  return {
    publicKey: other.publicKey,
    allowedIPs: [`${INNER[mine === 'a' ? 'b' : 'a']}/32`],
    ...(dials === undefined ? {} : { endpoint: dials }),
  };
}
