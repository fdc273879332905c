import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './command.js';
import { identity } from './keys.js';
import type { Scope } from './scope.js';
import { pair, type Pair } from './topology.js';
import type { Tunnel } from './tunnel.js';
import { upWireguardGo } from './wireguardgo.js';
import { endpoint, formatWgQuick, type FileInterface, type FilePeer } from './wgquick.js';
import { Wirestream } from './wirestream.js';

export const OUR_PORT = 1111;
export const THEIR_PORT = 2222;

/** Keys, addresses and ports, as each end has them in its file. */
function parts() {
  const [ours, theirs] = [identity(), identity()];
  return {
    us: { privateKey: ours.privateKey, listenPort: OUR_PORT, address: ['10.8.0.1/24', 'fd08::1/64'] },
    them: { privateKey: theirs.privateKey, listenPort: THEIR_PORT, address: ['10.8.0.2/24', 'fd08::2/64'] },
    ofUs: { publicKey: ours.publicKey, allowedIPs: ['10.8.0.1/32', 'fd08::1/128'] },
    ofThem: { publicKey: theirs.publicKey, allowedIPs: ['10.8.0.2/32', 'fd08::2/128'] },
  };
}

/** A tunnel of ours on host a, and Debian's wireguard-go on host b, as each other's only peers. */
export class BesideGo {
  readonly #directory: string;

  private constructor(
    scope: Scope,
    readonly hosts: Pair,
    readonly ours: Wirestream,
    public theirs: Tunnel,
    private readonly files: ReturnType<typeof parts>,
  ) {
    this.#directory = scope.directory();
  }

  static async up(scope: Scope): Promise<BesideGo> {
    const hosts = await pair(scope);
    const files = parts();
    const { us, them, ofUs, ofThem } = files;
    const [ours, theirs] = await Promise.all([
      Wirestream.up(scope, hosts.a.ns, { iface: us, peers: [ofThem] }),
      upWireguardGo(scope, hosts.b.ns, { iface: them, peers: [ofUs] }),
    ]);
    return new BesideGo(scope, hosts, ours, theirs, files);
  }

  /** Both begin anew; the initiator is told where the other is. */
  async begin(initiator: 'wirestream' | 'wireguard-go', outer: 'v4' | 'v6', psk?: string): Promise<void> {
    const { hosts, ours, theirs } = this;
    const { us, them, ofUs, ofThem } = this.files;
    const told = initiator === 'wirestream' ? endpoint(hosts.b[outer], THEIR_PORT) : endpoint(hosts.a[outer], OUR_PORT);
    const knows = (who: typeof initiator) => (who === initiator ? { endpoint: told } : {});
    await this.#tell(ours.name, us, { ...ofThem, presharedKey: psk, ...knows('wirestream') });
    await this.#tell(theirs.name, them, { ...ofUs, presharedKey: psk, ...knows('wireguard-go') });
  }

  async #tell(name: string, { address: _, ...iface }: FileInterface, peer: FilePeer): Promise<void> {
    const file = join(this.#directory, `${name}.conf`);
    writeFileSync(file, formatWgQuick(iface, [peer]), { mode: 0o600 });
    await must(['wg', 'setconf', name, file]);
  }

  /** Kills ours, and brings it up again with the other's address in its file. */
  async restartOurs(): Promise<void> {
    const { ours, hosts, files } = this;
    await ours.kill();
    const peer = { ...files.ofThem, endpoint: endpoint(hosts.b.v4, THEIR_PORT) };
    ours.write({ iface: files.us, peers: [peer] });
    await ours.up();
  }

  /** The same with wireguard-go. */
  async restartTheirs(scope: Scope): Promise<void> {
    const { theirs, hosts, files } = this;
    await theirs.kill();
    const peer = { ...files.ofUs, endpoint: endpoint(hosts.a.v4, OUR_PORT) };
    this.theirs = await upWireguardGo(scope, hosts.b.ns, { name: theirs.name, iface: files.them, peers: [peer] });
  }
}
