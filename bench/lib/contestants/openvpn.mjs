import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { OUTER } from '../link/link.mjs';
import { attempt, must } from '../run.mjs';
import { INNER, MTU, PORT, other } from './inner.mjs';

/** Its own default for data; both ends offer nothing else. */
const CIPHER = 'AES-256-GCM';

/** OpenVPN between two peers over TCP, each knowing the other's self-signed certificate by its fingerprint. */
export const openvpn = {
  id: 'openvpn',
  title: 'openvpn over TCP',
  describe: () => `${/OpenVPN [\d.]+/.exec(attempt(['openvpn', '--version'])?.text ?? '')?.[0] ?? ''}, ${CIPHER}`,
  address: INNER.b,

  async up(pair, { folder }) {
    const file = (end, kind) => path.join(folder, `openvpn-${end}.${kind}`);
    for (const end of ['a', 'b']) {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file(end, 'key')];
      must(['openssl', 'req', '-x509', ...key, '-out', file(end, 'crt'), '-days', '30', '-subj', `/CN=${end}`]);
    }
    for (const end of ['b', 'a']) {
      const { fingerprint256 } = new X509Certificate(readFileSync(file(other(end), 'crt')));
      const role =
        end === 'b'
          ? ['--tls-server', '--dh', 'none', '--proto', 'tcp-server', '--local', OUTER.b]
          : ['--tls-client', '--proto', 'tcp-client', '--remote', OUTER.b, '--nobind'];
      pair[end].start(
        [
          'openvpn',
          ...['--dev', `ovpn-${end}`, '--dev-type', 'tun', '--topology', 'p2p', '--tun-mtu', `${MTU}`, '--mssfix', '0'],
          ...['--ifconfig', INNER[end], INNER[other(end)], '--port', `${PORT}`, ...role],
          ...['--cert', file(end, 'crt'), '--key', file(end, 'key'), '--peer-fingerprint', fingerprint256],
          ...[
            '--data-ciphers',
            CIPHER,
            '--socket-flags',
            'TCP_NODELAY',
            '--ping',
            '5',
            '--connect-retry',
            '1',
            '--verb',
            '1',
          ],
        ],
        { stdio: ['ignore', 'ignore', 'ignore'] },
      );
    }
  },
};
