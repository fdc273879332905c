import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { OUTER } from '../link/link.mjs';
import { attempt, until } from '../run.mjs';
import { wireguardKeys } from '../wgkeys.mjs';
import { INNER, MTU, PORT, other } from './inner.mjs';

let count = 0;

/** The distribution's wireguard-go, set up with wg(8) and ip(8). */
export const wireguardGo = {
  id: 'wireguard-go',
  title: 'wireguard-go over UDP',
  describe: () => attempt(['wireguard-go', '--version'])?.text.split('\n')[0] ?? '',
  address: INNER.b,

  async up(pair, { lab, folder }) {
    const keys = { a: wireguardKeys(), b: wireguardKeys() };
    count++;
    for (const end of ['b', 'a']) {
      const namespace = pair[end];
      // Its sockets are in a directory that all namespaces share.
      const name = `wsg${process.pid}${String.fromCharCode(96 + count)}${end}`;
      lab.defer(() => rmSync(`/var/run/wireguard/${name}.sock`, { force: true }));
      // With a log level it would keep our pipes open.
      namespace.run(['wireguard-go', name], { env: { LOG_LEVEL: undefined } });
      const lines = ['[Interface]', `PrivateKey = ${keys[end].secret}`];
      if (end === 'b') lines.push(`ListenPort = ${PORT}`);
      lines.push('[Peer]', `PublicKey = ${keys[other(end)].public}`, `AllowedIPs = ${INNER[other(end)]}/32`);
      if (end === 'a') lines.push(`Endpoint = ${OUTER.b}:${PORT}`);
      const file = path.join(folder, `${name}.conf`);
      writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
      await until(`wireguard-go ${name}`, () => attempt(namespace.inside(['wg', 'show', name])).status === 0);
      namespace.run(['wg', 'setconf', name, file]);
      namespace.ip(`address add ${INNER[end]}/24 dev ${name}`, `link set mtu ${MTU} up dev ${name}`);
    }
  },
};
