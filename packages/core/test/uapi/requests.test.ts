import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { DeviceSettings } from '../../src/device/settings.js';
import { maskBits } from '../../src/address/ip.js';
import { endpointOf } from '../../src/address/endpoint.js';
import { isZeroKey } from '../../src/config/key.js';
import { formatSet } from '../../src/uapi/request.js';
import { RequestReader, type Request } from '../../src/uapi/requests.js';
import { ERRNO, LINE_MAX, REQUEST_MAX } from '../../src/uapi/uapi.js';

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));
const read = (text: string, zone?: (name: string) => number) => [...new RequestReader(zone).push(bytes(text))];
const A = 'a1'.repeat(32);
const B = 'B2'.repeat(32);

/** The errno of each refused request, or what else came. */
const outcome = (requests: Request[]) =>
  requests.map((r) => (r.op === 'refuse' || r.op === 'close' ? `${r.op} ${r.error?.errno ?? 'silently'}` : r.op));

describe('requests', () => {
  test('every key of a set', () => {
    const text = `set=1
private_key=${A}
listen_port=51820
fwmark=51966
transport=tcp
replace_peers=true
public_key=${B}
update_only=true
preshared_key=${'00'.repeat(32)}
endpoint=[2001:db8::1]:51820
persistent_keepalive_interval=25
replace_allowed_ips=true
allowed_ip=10.1.2.3/8
allowed_ip=-fd00::1/64
protocol_version=1
transport=udp
public_key=${A}
remove=true
public_key=${A}
preshared_key=${B}
transport=default
endpoint=192.0.2.7:1

`;
    const key = new Uint8Array(32).fill(0xa1);
    const peer = new Uint8Array(32).fill(0xb2);
    const expected: DeviceSettings = {
      privateKey: key,
      listenPort: 51820,
      fwmark: 51966,
      transport: 'tcp',
      replacePeers: true,
      peers: [
        {
          publicKey: peer,
          updateOnly: true,
          presharedKey: null,
          endpoint: { family: 6, address: '2001:db8::1', port: 51820 },
          persistentKeepalive: 25,
          replaceAllowedIps: true,
          allowedIps: [
            { prefix: { bytes: Uint8Array.of(10, 0, 0, 0), length: 8 } },
            { prefix: { bytes: Uint8Array.of(0xfd, ...new Array<number>(15).fill(0)), length: 64 }, remove: true },
          ],
          transport: 'udp',
        },
        { publicKey: key, remove: true, allowedIps: [] },
        {
          publicKey: key,
          presharedKey: peer,
          transport: null,
          endpoint: { family: 4, address: '192.0.2.7', port: 1 },
          allowedIps: [],
        },
      ],
    };
    expect(read(text)).toEqual([{ op: 'set', settings: expected }]);
  });

  test('several in one stream, an empty one among them', () => {
    expect(outcome(read('get=1\n\nset=1\n\nset=1\nfoo=1\nlisten_port=1\n\nget=1\n\n'))).toEqual([
      'get',
      'set',
      'refuse -22',
      'get',
    ]);
  });

  test('what comes in pieces of any size is the same', () => {
    const text = `get=1\n\nset=1\nprivate_key=${A}\npublic_key=${B}\nallowed_ip=1.2.3.0/24\n\nset=1\nx\n\nget=1\n\nwhat\n`;
    const whole = read(text);
    expect(outcome(whole)).toEqual(['get', 'set', 'refuse -71', 'get', 'close silently']);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
        const reader = new RequestReader();
        const got: Request[] = [];
        for (let at = 0, i = 0; at < text.length; i++) {
          const size = sizes[i % sizes.length]!;
          got.push(...reader.push(bytes(text.slice(at, at + size))));
          at += size;
        }
        expect(got).toEqual(whole);
      }),
    );
  });

  test('zones of IPv6 endpoints are looked up', () => {
    const zone = (name: string) => (name === 'eth0' ? 7 : 0);
    const set = (endpoint: string) => read(`set=1\npublic_key=${A}\nendpoint=${endpoint}\n\n`, zone)[0]!;
    expect(set('[fe80::1%eth0]:5')).toMatchObject({ settings: { peers: [{ endpoint: { scope: 7 } }] } });
    expect(set('[fe80::1%9]:5')).toMatchObject({ settings: { peers: [{ endpoint: { scope: 9 } }] } });
    expect(outcome([set('[fe80::1%eth1]:5')])).toEqual(['refuse -22']);
  });

  test('an IPv4-mapped endpoint is an IPv4 endpoint', () => {
    expect(read(`set=1\npublic_key=${A}\nendpoint=[::ffff:1.2.3.4]:5\n\n`)).toMatchObject([
      { settings: { peers: [{ endpoint: { family: 4, address: '1.2.3.4', port: 5 } }] } },
    ]);
  });

  test('replacing allowed IPs drops those given before in the same section', () => {
    const text = `set=1\npublic_key=${A}\nallowed_ip=1.0.0.0/8\nreplace_allowed_ips=true\nallowed_ip=2.0.0.0/8\n\n`;
    expect(read(text)).toMatchObject([
      {
        settings: {
          peers: [{ replaceAllowedIps: true, allowedIps: [{ prefix: { bytes: Uint8Array.of(2, 0, 0, 0) } }] }],
        },
      },
    ]);
  });
});

describe('bad requests', () => {
  const peer = `public_key=${A}\n`;
  test.each([
    ['private_key=a1', ERRNO.invalid],
    [`private_key=${A}0`, ERRNO.invalid],
    [`private_key=${'g'.repeat(64)}`, ERRNO.invalid],
    ['listen_port=65536', ERRNO.invalid],
    ['listen_port=-1', ERRNO.invalid],
    ['listen_port=', ERRNO.invalid],
    ['fwmark=4294967296', ERRNO.invalid],
    ['fwmark=0x1', ERRNO.invalid],
    ['replace_peers=false', ERRNO.invalid],
    ['transport=sctp', ERRNO.invalid],
    ['transport=default', ERRNO.invalid],
    ['preshared_key=00', ERRNO.invalid],
    ['endpoint=1.2.3.4:5', ERRNO.invalid],
    ['public_key=00', ERRNO.invalid],
    [`${peer}private_key=${A}`, ERRNO.invalid],
    [`${peer}listen_port=1`, ERRNO.invalid],
    [`${peer}remove=false`, ERRNO.invalid],
    [`${peer}update_only=1`, ERRNO.invalid],
    [`${peer}replace_allowed_ips=`, ERRNO.invalid],
    [`${peer}protocol_version=2`, ERRNO.invalid],
    [`${peer}persistent_keepalive_interval=65536`, ERRNO.invalid],
    [`${peer}persistent_keepalive_interval=off`, ERRNO.invalid],
    [`${peer}endpoint=vpn.example:1`, ERRNO.invalid],
    [`${peer}endpoint=1.2.3.4:0`, ERRNO.invalid],
    [`${peer}endpoint=[1.2.3.4]:1`, ERRNO.invalid],
    [`${peer}endpoint=fd00::1:1`, ERRNO.invalid],
    [`${peer}allowed_ip=10.0.0.1`, ERRNO.invalid],
    [`${peer}allowed_ip=10.0.0.0/33`, ERRNO.invalid],
    [`${peer}allowed_ip=--10.0.0.0/8`, ERRNO.invalid],
    [`${peer}colour=red`, ERRNO.invalid],
    ['no sign', ERRNO.protocol],
  ])('%j', (lines, errno) => {
    expect(outcome(read(`set=1\n${lines}\nlisten_port=1\n\nget=1\n\n`))).toEqual([`refuse ${errno}`, 'get']);
  });

  test('neither get nor set: not a word', () => {
    expect(outcome(read('GET / HTTP/1.1\n\n'))).toEqual(['close silently']);
    expect(outcome(read('\nget=1\n\n'))).toEqual(['close silently']);
  });

  test('text behind get', () => {
    expect(outcome(read('get=1\nx=1\n\nget=1\n\n'))).toEqual(['close -22']);
  });

  test('a line without end is cut off', () => {
    const reader = new RequestReader();
    expect(outcome([...reader.push(bytes('get=1' + ' '.repeat(LINE_MAX - 5)))])).toEqual([]);
    expect(outcome([...reader.push(bytes(' '))])).toEqual([`close ${ERRNO.protocol}`]);
    expect([...reader.push(bytes('\nget=1\n\n'))]).toEqual([]);
  });

  test('a request without end is cut off', () => {
    const reader = new RequestReader();
    const line = bytes(`public_key=${A}\n`.repeat(1000));
    let sent = 0;
    let got: Request[] = [...reader.push(bytes('set=1\n'))];
    while (got.length === 0 && sent <= 2 * REQUEST_MAX) {
      got = [...reader.push(line)];
      sent += line.length;
    }
    expect(outcome(got)).toEqual([`close ${ERRNO.protocol}`]);
    expect(sent).toBeLessThan(REQUEST_MAX + 2 * line.length);
  });

  test('any bytes at all end in a request, a refusal or the end of the session', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('get=1', 'set=1', '', peer.trim(), 'allowed_ip=::/0', 'listen_port=1', 'endpoint=1.2.3.4:5'),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const reader = new RequestReader();
        const got = [...reader.push(bytes(lines.join('\n')))];
        expect(
          got.findIndex(({ op }) => op === 'close') === got.length - 1 || !got.some(({ op }) => op === 'close'),
        ).toBe(true);
      }),
    );
  });
});

describe('formatSet', () => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const nullable = key.map((k) => (isZeroKey(k) ? null : k));
  const ip = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }));
  const prefix = ip.chain((address) =>
    fc.integer({ min: 0, max: address.length * 8 }).map((length) => ({ bytes: maskBits(address, length), length })),
  );
  const transport = fc.constantFrom('tcp' as const, 'udp' as const);
  const peer = fc.record(
    {
      publicKey: key,
      updateOnly: fc.constant(true),
      presharedKey: fc.option(nullable),
      endpoint: fc.tuple(ip, fc.integer({ min: 1, max: 65535 })).map(([address, port]) => endpointOf(address, port)),
      transport: fc.option(transport),
      persistentKeepalive: fc.integer({ min: 0, max: 65535 }),
      replaceAllowedIps: fc.constant(true),
      allowedIps: fc.array(
        fc.record({ prefix, remove: fc.constant(true) }, { requiredKeys: ['prefix'], noNullPrototype: true }),
        { maxLength: 4 },
      ),
    },
    { requiredKeys: ['publicKey', 'allowedIps'], noNullPrototype: true },
  );
  const settings = fc.record(
    {
      privateKey: fc.option(nullable),
      listenPort: fc.integer({ min: 0, max: 65535 }),
      fwmark: fc.integer({ min: 0, max: 0xffffffff }),
      transport,
      replacePeers: fc.constant(true),
      peers: fc.array(peer, { maxLength: 4 }),
    },
    { requiredKeys: ['peers'], noNullPrototype: true },
  ) as fc.Arbitrary<DeviceSettings>;

  test('what is written reads as the same', () => {
    fc.assert(
      fc.property(settings, (value) => {
        expect(read(formatSet(value))).toEqual([{ op: 'set', settings: value }]);
      }),
    );
  });

  test('a peer to remove needs nothing else', () => {
    const publicKey = new Uint8Array(32).fill(0xa1);
    const text = formatSet({ peers: [{ publicKey, remove: true, persistentKeepalive: 1, allowedIps: [] }] });
    expect(text).toBe(`set=1\npublic_key=${A}\nremove=true\n\n`);
  });
});
