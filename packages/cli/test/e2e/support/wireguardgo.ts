import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Namespace } from './netns.js';
import { commandLine, isAlive } from './proc.js';
import { uniqueName, type Scope } from './scope.js';
import type { Tunnel, TunnelOptions } from './tunnel.js';
import { until } from './until.js';
import { formatWgQuick } from './wgquick.js';

/** wireguard-go's default, and wg-quick's on a link of 1500. */
const MTU = 1420;

/** Makes an interface with `wireguard-go NAME`, without any configuration. */
export async function startWireguardGo(scope: Scope, ns: Namespace, name = uniqueName()): Promise<Tunnel> {
  const socket = `/var/run/wireguard/${name}.sock`;
  scope.defer(() => rmSync(socket, { force: true }), `rm -f ${socket}`);
  // With a log level it would keep our pipes open.
  await ns.must(['wireguard-go', name], { env: { LOG_LEVEL: undefined } });
  const pid = await until(`wireguard-go ${name}`, async () =>
    (await ns.pids()).find((candidate) => commandLine(candidate).startsWith(`wireguard-go ${name}`)),
  );
  const gone = async (): Promise<void> => {
    await until(`wireguard-go ${name} to end`, () => !isAlive(pid));
    await until(`interface ${name} to go`, async () => !(await ns.links()).includes(name));
  };
  return {
    name,
    home: ns,
    pid,
    async down() {
      process.kill(pid, 'SIGTERM');
      await gone();
    },
    async kill() {
      process.kill(pid, 'SIGKILL');
      await gone();
    },
  };
}

/** The same, and set up as the configuration says, with wg(8) and ip(8). */
export async function upWireguardGo(scope: Scope, ns: Namespace, options: TunnelOptions): Promise<Tunnel> {
  const { iface, peers } = options;
  const tunnel = await startWireguardGo(scope, ns, options.name);
  const { name } = tunnel;
  const { privateKey, listenPort, fwMark } = iface;
  const plain = { privateKey, ...(listenPort ? { listenPort } : {}), ...(fwMark ? { fwMark } : {}) };
  const file = join(scope.directory(), `${name}.conf`);
  writeFileSync(file, formatWgQuick(plain, peers), { mode: 0o600 });
  await ns.must(['wg', 'setconf', name, file]);
  const networks = peers.flatMap(({ allowedIPs }) => allowedIPs);
  await ns.ip(
    ...(iface.address ?? []).map((address) => `address add ${address} dev ${name}`),
    `link set mtu ${iface.mtu ?? MTU} up dev ${name}`,
    ...(iface.table === 'off' ? [] : networks.map((network) => `route replace ${network} dev ${name}`)),
  );
  return tunnel;
}
