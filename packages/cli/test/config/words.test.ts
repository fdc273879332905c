import { endpointOf } from '@wirestream/core/address/endpoint';
import { parseIp, parsePrefix } from '@wirestream/core/address/ip';
import type { EndpointName } from '@wirestream/core/config/config';
import { formatKey } from '@wirestream/core/config/key';
import { isWirestreamError } from '@wirestream/core/device/errors';
import { describe, expect, test } from '@jest/globals';
import { settingsOfWords } from '../../src/config/words.js';

const [one, two, three] = [1, 2, 3].map((n) => new Uint8Array(32).fill(n)) as [Uint8Array, Uint8Array, Uint8Array];
const [ONE, TWO] = [formatKey(one), formatKey(two)];

const context = {
  readKeyFile: (path: string) => (path === '/dev/null' ? null : three),
  resolve: async ({ host, port }: EndpointName) => Promise.resolve(endpointOf(parseIp(host)!, port)),
};
const settings = async (line: string) => settingsOfWords(line.split(' '), context);
const prefix = (text: string) => ({ prefix: parsePrefix(text)! });

/** The message and the hint of what is refused. */
const refused = async (...words: string[]): Promise<[string, string | undefined]> => {
  try {
    await settingsOfWords(words, context);
  } catch (error) {
    if (isWirestreamError(error)) return [error.message, error.hint];
    throw error;
  }
  throw new Error('was taken');
};

describe('the words of set', () => {
  test('of the device', async () => {
    expect(await settings('listen-port 443 fwmark 0x10 private-key /k transport tcp')).toEqual({
      listenPort: 443,
      fwmark: 16,
      privateKey: three,
      transport: 'tcp',
      peers: [],
    });
    expect(await settings('fwmark off private-key /dev/null')).toEqual({ fwmark: 0, privateKey: null, peers: [] });
  });

  test('of peers, each about the one before it', async () => {
    const line = `peer ${ONE} endpoint [fd00::1]:5 persistent-keepalive off transport udp peer ${TWO} preshared-key /k transport default`;
    expect((await settings(line)).peers).toEqual([
      {
        publicKey: one,
        endpoint: endpointOf(parseIp('fd00::1')!, 5),
        persistentKeepalive: 0,
        transport: 'udp',
        allowedIps: [],
      },
      { publicKey: two, presharedKey: three, transport: null, allowedIps: [] },
    ]);
    expect((await settings(`peer ${ONE} remove peer ${TWO}`)).peers).toEqual([
      { publicKey: one, remove: true, allowedIps: [] },
      { publicKey: two, allowedIps: [] },
    ]);
  });

  test('allowed IPs: a whole list, an empty one, or changes to it', async () => {
    const peer = async (...value: string[]) =>
      (await settingsOfWords(['peer', ONE, 'allowed-ips', ...value], context)).peers[0];
    expect(await peer('10.0.0.0/8, fd00::1')).toEqual({
      publicKey: one,
      replaceAllowedIps: true,
      allowedIps: [prefix('10.0.0.0/8'), prefix('fd00::1/128')],
    });
    expect(await peer('')).toEqual({ publicKey: one, replaceAllowedIps: true, allowedIps: [] });
    expect(await peer('+10.1.0.0/16,-10.2.0.0/16')).toEqual({
      publicKey: one,
      allowedIps: [prefix('10.1.0.0/16'), { ...prefix('10.2.0.0/16'), remove: true }],
    });
  });

  test('what is wrong, and what to do about it', async () => {
    expect(await refused('listenport', '1')).toEqual(['Invalid argument: listenport', 'did you mean listen-port?']);
    expect(await refused('peer', ONE, 'listen-port', '1')).toEqual([
      'Invalid argument: listen-port',
      'listen-port is about the interface, and stands before the first peer',
    ]);
    expect(await refused('endpoint', '1.2.3.4:5')).toEqual([
      'Invalid argument: endpoint',
      'endpoint is about a peer: peer KEY comes first',
    ]);
    expect(await refused('remove')).toEqual(['Invalid argument: remove', 'remove needs a value behind it']);
    expect(await refused('fwmark')).toEqual(['Invalid argument: fwmark', 'fwmark needs a value behind it']);
    expect((await refused('listen-port', '70000'))[0]).toBe("ListenPort: '70000' is not a port (0–65535)");
    expect((await refused('peer', 'x'))[0]).toBe("Key is not the correct length or format: `x'");
    expect((await refused('peer', ONE, 'endpoint', '1.2.3.4'))[0]).toBe("Endpoint '1.2.3.4': no port");
    expect((await refused('peer', ONE, 'persistent-keepalive', '70000'))[0]).toMatch(/^PersistentKeepalive: /);
    expect((await refused('peer', ONE, 'allowed-ips', '10.0.0.0/33'))[0]).toMatch(/^AllowedIPs: '10\.0\.0\.0\/33'/);
    expect((await refused('transport', 'sctp'))[0]).toBe("Transport: 'sctp' is not tcp, udp or auto");
  });
});
