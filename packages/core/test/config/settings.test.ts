import { describe, expect, test } from '@jest/globals';
import { parseEndpoint } from '../../src/address/endpoint.js';
import { interfaceNameOf, isInterfaceName, nearestName } from '../../src/config/names.js';
import { parseConfig } from '../../src/config/parse.js';
import { toDeviceSettings, usesTcp } from '../../src/config/settings.js';

const KEY_A = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const KEY_B = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';
const KEY_C = 'TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=';
const ZERO = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';

const config = (text: string) => parseConfig(text, { file: 'x' }).config;

describe('toDeviceSettings', () => {
  test('says everything, so that nothing of a former configuration is left', () => {
    const { interface: iface, peers } = config(`[Interface]
PrivateKey=${KEY_A}
[Peer]
PublicKey=${KEY_B}
PresharedKey=${ZERO}
Endpoint=vpn.example:1
AllowedIPs=10.0.0.0/8
[Peer]
PublicKey=${KEY_C}
Transport=tcp
PersistentKeepalive=5
PresharedKey=${KEY_A}`);
    const endpoint = parseEndpoint('192.0.2.1:1')!;
    expect(toDeviceSettings({ interface: iface, peers }, [endpoint, null])).toEqual({
      privateKey: iface.privateKey,
      listenPort: 0,
      fwmark: 0,
      transport: 'udp',
      extensions: true,
      replacePeers: true,
      peers: [
        {
          publicKey: peers[0]!.publicKey,
          presharedKey: null,
          endpoint,
          transport: null,
          extensions: null,
          persistentKeepalive: 0,
          replaceAllowedIps: true,
          allowedIps: [{ prefix: { bytes: Uint8Array.of(10, 0, 0, 0), length: 8 } }],
        },
        {
          publicKey: peers[1]!.publicKey,
          presharedKey: peers[1]!.presharedKey,
          transport: 'tcp',
          extensions: null,
          persistentKeepalive: 5,
          replaceAllowedIps: true,
          allowedIps: [],
        },
      ],
    });
  });

  test('TCP is used when the interface or a peer says so', () => {
    const iface = (more: string) => config(`[Interface]\nPrivateKey=${KEY_A}\n${more}`);
    expect(usesTcp(iface(''))).toBe(false);
    expect(usesTcp(iface('Transport=tcp'))).toBe(true);
    expect(usesTcp(iface(`[Peer]\nPublicKey=${KEY_B}\nTransport=tcp`))).toBe(true);
    expect(usesTcp(iface(`Transport=udp\n[Peer]\nPublicKey=${KEY_B}\nTransport=udp`))).toBe(false);
  });
});

describe('names', () => {
  test.each([
    ['/etc/wireguard/wg0.conf', 'wg0'],
    ['a-b_c=d+e.f.conf', 'a-b_c=d+e.f'],
    ['./wg0', null],
    ['/x/0123456789abcdef.conf', null],
    ['/x/a b.conf', null],
    ['/x/..conf', null],
    ['...conf', null],
  ])('the interface of %s is %s', (path, name) => expect(interfaceNameOf(path)).toBe(name));

  test.each(['..', '.', '', 'a/b', '0123456789abcdef'])('%j is no interface name', (name) => {
    expect(isInterfaceName(name)).toBe(false);
  });

  test('the nearest name is found when it is near', () => {
    const names = ['PublicKey', 'PresharedKey', 'Endpoint'];
    expect(nearestName('publickkey', names)).toBe('PublicKey');
    expect(nearestName('PreSharedKye', names)).toBe('PresharedKey');
    expect(nearestName('EndPint', names)).toBe('Endpoint');
    expect(nearestName('Whatever', names)).toBeNull();
  });
});
