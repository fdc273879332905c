import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../../scripts/lib/setup.mjs';
import { OUTER } from '../link/link.mjs';
import { attempt } from '../run.mjs';
import { wireguardKeys } from '../wgkeys.mjs';
import { INNER, MTU, PORT, other } from './inner.mjs';

const COMMAND = path.join(ROOT, 'packages/cli/bin/run.js');

let count = 0;

/**
 * This checkout's own command, in the background as users run it.
 * @param {'tcp' | 'udp'} transport
 * @param {boolean} records whether super-packets travel as offload records; otherwise both ends speak stock WireGuard only
 */
export const wirestream = (transport, records = false) => ({
  id: records ? 'wirestream-records' : `wirestream-${transport}`,
  title: `wirestream over ${transport.toUpperCase()}${records ? ', offload records' : ''}`,
  address: INNER.b,

  describe() {
    const { version } = JSON.parse(readFileSync(path.join(ROOT, 'packages/cli/package.json'), 'utf8'));
    const commit = attempt(['git', '-C', ROOT, 'describe', '--always', '--dirty']);
    return `${version}${commit?.status === 0 ? `, commit ${commit.text.trim()}` : ''}, Node ${process.versions.node}`;
  },

  /** @param {{ folder: string, offload: boolean, env?: Record<string, string> }} options env: more for the processes of both ends */
  async up(pair, { folder, offload, env = {} }) {
    const keys = { a: wireguardKeys(), b: wireguardKeys() };
    count++;
    for (const end of ['b', 'a']) {
      const name = `wst${count}${end}`;
      const lines = ['[Interface]', `PrivateKey = ${keys[end].secret}`, `Address = ${INNER[end]}/24`, `MTU = ${MTU}`];
      lines.push(`Transport = ${transport}`, `Extensions = ${records ? 'on' : 'off'}`);
      if (end === 'b') lines.push(`ListenPort = ${PORT}`);
      lines.push('[Peer]', `PublicKey = ${keys[other(end)].public}`, `AllowedIPs = ${INNER[other(end)]}/32`);
      if (end === 'a') lines.push(`Endpoint = ${OUTER.b}:${PORT}`);
      const file = path.join(folder, `${name}.conf`);
      writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
      const flags = offload ? [] : ['--no-offload'];
      pair[end].run([process.execPath, COMMAND, 'up', file, '--driver', 'linux', ...flags], {
        env: { WIRESTREAM_RUN_DIR: path.join(folder, 'run'), ...env },
      });
    }
  },
});
