import { describe, expect, test } from '@jest/globals';
import { parseEndpoint } from '../../src/address/endpoint.js';
import { parsePrefix } from '../../src/address/ip.js';
import { WirestreamError } from '../../src/device/errors.js';
import type { DeviceSettings } from '../../src/device/settings.js';
import type { DeviceSnapshot, PeerSnapshot } from '../../src/device/snapshot.js';
import { formatGet } from '../../src/uapi/get.js';
import { isWholeReply, parseReply } from '../../src/uapi/reply.js';
import { UapiSession, type UapiBackend } from '../../src/uapi/session.js';
import { UapiError } from '../../src/uapi/uapi.js';

const key = (byte: number) => new Uint8Array(32).fill(byte);
const bytes = (text: string) => Uint8Array.from(Buffer.from(text));

const peer: PeerSnapshot = {
  publicKey: key(0xb2),
  presharedKey: key(0xc3),
  endpoint: parseEndpoint('192.0.2.1:51820'),
  allowedIps: [parsePrefix('10.0.0.2/32')!, parsePrefix('fd00::/64')!],
  lastHandshake: 1_700_000_000_123.25,
  rxBytes: 2 ** 40 + 1,
  txBytes: 7,
  persistentKeepalive: 25,
  transport: 'tcp',
  connections: [],
  drops: {},
};
const device: DeviceSnapshot = {
  privateKey: key(0xa1),
  publicKey: key(0xd4),
  listenPort: 51820,
  fwmark: 0xca6c,
  transport: 'tcp',
  peers: [
    peer,
    {
      ...peer,
      publicKey: key(0xe5),
      presharedKey: null,
      endpoint: null,
      allowedIps: [],
      lastHandshake: 0,
      rxBytes: 0,
      txBytes: 0,
      persistentKeepalive: 0,
      transport: 'udp',
    },
  ],
  pending: { size: 0, refusals: {} },
  drops: {},
};

const REPLY = `private_key=${'a1'.repeat(32)}
listen_port=51820
fwmark=51820
transport=tcp
public_key=${'b2'.repeat(32)}
preshared_key=${'c3'.repeat(32)}
protocol_version=1
endpoint=192.0.2.1:51820
last_handshake_time_sec=1700000000
last_handshake_time_nsec=123250000
tx_bytes=7
rx_bytes=1099511627777
persistent_keepalive_interval=25
allowed_ip=10.0.0.2/32
allowed_ip=fd00::/64
public_key=${'e5'.repeat(32)}
preshared_key=${'00'.repeat(32)}
protocol_version=1
last_handshake_time_sec=0
last_handshake_time_nsec=0
tx_bytes=0
rx_bytes=0
persistent_keepalive_interval=0
transport=udp
`;

class Backend implements UapiBackend {
  readonly done: (DeviceSettings | 'get')[] = [];
  fail: Error | null = null;
  async snapshot(): Promise<DeviceSnapshot> {
    await Promise.resolve();
    if (this.fail !== null) throw this.fail;
    this.done.push('get');
    return device;
  }
  async configure(settings: DeviceSettings): Promise<void> {
    await Promise.resolve();
    if (this.fail !== null) throw this.fail;
    this.done.push(settings);
  }
}

function session(): { backend: Backend; say: (text: string) => Promise<boolean>; heard: () => string } {
  const backend = new Backend();
  let out = '';
  const it = new UapiSession(backend, (text) => void (out += text));
  return {
    backend,
    say: (text) => it.receive(bytes(text)),
    heard: () => {
      const text = out;
      out = '';
      return text;
    },
  };
}

describe('get', () => {
  test('the lines of a reply', () => expect(formatGet(device)).toBe(REPLY));

  test('a device of nothing has no lines', () => {
    expect(formatGet({ ...device, privateKey: null, listenPort: 0, fwmark: 0, transport: 'udp', peers: [] })).toBe('');
  });

  test('over UDP nothing is said that stock WireGuard does not say', () => {
    const udp = {
      ...device,
      transport: 'udp' as const,
      peers: device.peers.map((p) => ({ ...p, transport: 'udp' as const })),
    };
    expect(formatGet(udp)).not.toContain('transport');
    expect(formatGet({ ...udp, peers: [peer] })).toContain('keepalive_interval=25\ntransport=tcp\n');
  });

  test('a client reads what was written', () => {
    expect(parseReply(`${formatGet(device)}errno=0\n\n`)).toEqual({ ...device, publicKey: null });
  });

  test.each([
    ['errno=-22\n\n', -22],
    ['errno=22\n\n', -22],
    ['\n', -71],
    ['listen_port=1\n\n', -71],
    ['hello\nerrno=0\n\n', -71],
    ['private_key=zz\nerrno=0\n\n', -71],
  ])('the reply %j fails', (text, errno) => {
    expect(() => parseReply(text)).toThrow(expect.objectContaining({ name: 'UapiError', errno }));
  });

  test('keys of others are skipped, zones looked up', () => {
    const text = `daita=1\npublic_key=${'b2'.repeat(32)}\nendpoint=[fe80::1%wlan0]:1\ndaita_x=1\nerrno=0\n\n`;
    expect(parseReply(text, () => 4).peers).toMatchObject([{ endpoint: { address: 'fe80::1', scope: 4, port: 1 } }]);
  });

  test('a reply is whole at its empty line', () => {
    expect(isWholeReply('listen_port=1\nerrno=0\n')).toBe(false);
    expect(isWholeReply('listen_port=1\nerrno=0\n\n')).toBe(true);
  });
});

describe('a session', () => {
  test('answers requests in turn', async () => {
    const { backend, say, heard } = session();
    expect(await say('get=1\n\nset=1\nlisten_port=7\n\nset=1\nlisten_')).toBe(true);
    expect(heard()).toBe(`${REPLY}errno=0\n\nerrno=0\n\n`);
    expect(await say('port=8\n\n')).toBe(true);
    expect(heard()).toBe('errno=0\n\n');
    expect(backend.done).toEqual(['get', { listenPort: 7, peers: [] }, { listenPort: 8, peers: [] }]);
  });

  test('a refused set changes nothing, and the session goes on', async () => {
    const { backend, say, heard } = session();
    expect(await say('set=1\nlisten_port=7\nfoo=bar\n\nset=1\n\n')).toBe(true);
    expect(heard()).toBe('errno=-22\n\nerrno=0\n\n');
    expect(backend.done).toEqual([{ peers: [] }]);
  });

  test('ends without a word at what is no request', async () => {
    const { say, heard } = session();
    expect(await say('hello\nget=1\n\n')).toBe(false);
    expect(heard()).toBe('');
  });

  test('ends with a word where the stream cannot be followed', async () => {
    const { say, heard } = session();
    expect(await say('get=1\nhello\n\n')).toBe(false);
    expect(heard()).toBe('errno=-22\n\n');
  });

  test.each([
    [new WirestreamError('port-in-use', 'x'), -98],
    [Object.assign(new Error('x'), { code: 'EADDRINUSE' }), -98],
    [new WirestreamError('invalid-settings', 'x'), -22],
    [new WirestreamError('whatever', 'x'), -5],
    [new UapiError(-71, 'x'), -71],
    [new Error('a bug'), -55],
  ])('%s of the device is errno %d', async (error, errno) => {
    const { backend, say, heard } = session();
    backend.fail = error;
    expect(await say('set=1\n\nget=1\n\n')).toBe(true);
    expect(heard()).toBe(`errno=${errno}\n\nerrno=${errno}\n\n`);
  });
});
