import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect } from '@jest/globals';
import { must, run } from '../support/command.js';
import { Device } from '../support/device.js';
import { identity, identityOf, presharedKey } from '../support/keys.js';
import type { Kind } from '../support/kinds.js';
import { Namespace } from '../support/netns.js';
import { isAlive } from '../support/proc.js';
import { Scope, uniqueName } from '../support/scope.js';
import { Capture } from '../support/tcpdump.js';
import { pause, until } from '../support/until.js';
import { runFiles, type Wirestream } from '../support/wirestream.js';
import type { Scenario } from './scenario.js';

/** Public keys whose shared secret with anybody is zero (RFC 7748 §6.1 says what to do about them). */
const LOW_ORDER = [
  'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  '4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=',
  'X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=',
  '7P///////////////////////////////////////38=',
  '7f///////////////////////////////////////38=',
  '7v///////////////////////////////////////38=',
];

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** What wg(8) can say to one interface, and hear from it. */
export function configurationScenarios(kind: Kind, scenario: Scenario): void {
  const scope = new Scope();
  let ns: Namespace;
  let device: Device;

  beforeAll(async () => {
    ns = await Namespace.create(scope, 'conf');
    device = await Device.start(scope, kind, ns);
  });
  beforeEach(async () => device.setconf('[Interface]'));
  afterAll(async () => scope.close());

  scenario('130 560 allowed IPs at once', async () => {
    const lines = range(1, 255).flatMap((a) =>
      range(0, 255).map((b) => `AllowedIPs = ${a}.${b}.0.0/16, ${a.toString(16)}::${b.toString(16)}/128`),
    );
    const mine = `PrivateKey = ${identity().privateKey}`;
    await device.setconf('[Interface]', mine, '[Peer]', `PublicKey = ${identity().publicKey}`, ...lines);
    expect((await device.show('allowed-ips')).split(/[\t ]/)).toHaveLength(1 + 255 * 256 * 2);
  });

  scenario('40 peers of 52 allowed IPs, 30 peers, 197 allowed IPs', async () => {
    const peer = (...ips: string[]): string[] => [
      '[Peer]',
      `PublicKey = ${identity().publicKey}`,
      ...ips.map((ip) => `AllowedIPs = ${ip}`),
    ];
    const many = range(1, 40).flatMap((a) => peer(...range(1, 52).map((b) => `${a}.${b}.0.0/16`)));
    await device.setconf('[Interface]', `PrivateKey = ${identity().privateKey}`, ...many);
    const counts = (await device.show('allowed-ips')).split('\n').map((line) => line.split(/[\t ]/).length - 1);
    expect(counts).toEqual(Array<number>(40).fill(52));

    await device.setconf(...range(1, 29).flatMap(() => peer()), ...peer('255.2.3.4/32', 'abcd::255/128'));
    const shown = await must(['wg', 'showconf', device.name]);
    expect(shown.match(/\[Peer\]/g)).toHaveLength(30);

    await device.setconf('[Interface]');
    const [first, second] = [identity().publicKey, identity().publicKey];
    await device.set('peer', first);
    await device.set(
      'peer',
      second,
      'allowed-ips',
      range(1, 197)
        .map((i) => `abcd::${i}`)
        .join(','),
    );
    const lines = Object.fromEntries((await device.show('allowed-ips')).split('\n').map((line) => line.split('\t')));
    expect(lines[first]).toBe('(none)');
    expect(lines[second].split(' ')).toHaveLength(197);
  });

  scenario('keys: read, cleared, clamped; an own key as a peer is ignored', async () => {
    const [mine, other, psk] = [identity(), identity(), presharedKey()];
    expect((await run(['wg', 'show', uniqueName()])).code).not.toBe(0);
    const shared = ['peer', other.publicKey, 'preshared-key'];
    await device.set('private-key', device.key(mine.privateKey), ...shared, device.key(psk));
    expect(await device.show('private-key')).toBe(mine.privateKey);
    expect(await device.show('preshared-keys')).toBe(`${other.publicKey}\t${psk}`);
    await device.set('private-key', '/dev/null', ...shared, '/dev/null');
    expect(await device.show('private-key')).toBe('(none)');
    expect(await device.show('preshared-keys')).toBe(`${other.publicKey}\t(none)`);

    await device.set('private-key', device.key(other.privateKey));
    expect(await device.show('public-key')).toBe(other.publicKey);
    expect(await device.show('peers')).toBe('');
    await device.set('peer', other.publicKey);
    expect(await device.show('peers')).toBe('');
    await device.set('private-key', device.key(mine.privateKey));
    await device.set('peer', other.publicKey);
    expect(await device.show('peers')).toBe(other.publicKey);

    // A first byte of 0xff or 0xfe loses its lowest three bits: '/' becomes '+'.
    await device.set('private-key', device.key(`/${mine.privateKey.slice(1)}`));
    const clamped = `+${mine.privateKey.slice(1)}`;
    expect(await device.show('private-key')).toBe(clamped);
    expect(await device.show('public-key')).toBe(identityOf(clamped).publicKey);
  });

  scenario('allowed IPs that cover each other', async () => {
    const { publicKey } = identity();
    const set = async (ips: string): Promise<string[]> => {
      await device.set('peer', publicKey, 'allowed-ips', ips);
      return (await device.show('allowed-ips')).split('\t')[1]!.split(' ').sort();
    };
    const v4 = '0.0.0.0/0,10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16';
    const v6 = '::/0,1700::/111,5000::/4,9000::/75,e000::/37';
    expect(await set(v4)).toEqual(v4.split(',').sort());
    expect(await set('0.0.0.0/0')).toEqual(['0.0.0.0/0']);
    expect(await set(v6)).toEqual(v6.split(',').sort());
    expect(await set('::/0')).toEqual(['::/0']);
  });

  scenario('nothing is ever said to low-order points', async () => {
    await device.set('private-key', device.key(identity().privateKey));
    const capture = await Capture.start(scope, ns, 'lo');
    // Somebody is there to be talked to, so that over TCP there is a connection on which nothing is said.
    const listener = ns.spawn(['iperf3', '-s', '-p', '1111']);
    scope.defer(async () => void (await listener.stop('SIGKILL')));
    await until('somebody to listen', async () => ns.must(['ss', '-Htln', 'sport = :1111']));
    for (const point of LOW_ORDER) {
      await device.set('peer', point, 'persistent-keepalive', '1', 'endpoint', '127.0.0.1:1111');
    }
    expect((await device.show('peers')).split('\n')).toHaveLength(LOW_ORDER.length);
    await device.addresses('10.0.0.1/24');
    await pause(2000);
    await capture.stop();
    await listener.stop('SIGKILL');
    expect(await capture.packets('udp')).toEqual([]);
    // tcp[tcpflags] & push: bytes were sent.
    expect(await capture.packets('dst port 1111 and tcp[13] & 8 != 0')).toEqual([]);
  });

  scenario.oursOnly('moved, renamed, resized and deleted by others', async () => {
    const other = new Scope();
    const elsewhere = await Namespace.create(other, 'elsewhere');
    const guest = await Device.start(other, kind, ns);
    const tunnel = guest.tunnel as Wirestream;
    const is = async (expected: object): Promise<void> => {
      const same = async (): Promise<boolean> => isDeepStrictEqual((await tunnel.snapshot()).interface, expected);
      await until(`the interface to be ${JSON.stringify(expected)}`, same);
    };
    try {
      const { name } = guest;
      await is({ name, mtu: await ns.mtu(name), up: true, elsewhere: false });
      await guest.moveTo(elsewhere);
      await elsewhere.ip(`link set ${name} name renamed mtu 1299`, 'link set renamed up');
      await is({ name: 'renamed', mtu: 1299, up: true, elsewhere: true });
      // It is still configured by the name that it was made by, where it was made.
      await guest.set('listen-port', '4321');
      expect(await ns.must(['ss', '-Hlun', 'sport = :4321'])).not.toBe('');
      await elsewhere.ip('link delete renamed');
      await until('the daemon to end', () => !isAlive(tunnel.pid));
      expect(runFiles(name).filter(existsSync)).toEqual([]);
    } finally {
      await other.close();
    }
  });

  scenario('a namespace ends, and the interface in it', async () => {
    const other = new Scope();
    try {
      const elsewhere = await Namespace.create(other, 'elsewhere');
      const { tunnel } = await Device.start(other, kind, ns, elsewhere);
      await elsewhere.end();
      await until('the daemon to end', () => !isAlive(tunnel.pid));
      expect(existsSync(`/var/run/wireguard/${tunnel.name}.sock`)).toBe(false);
    } finally {
      await other.close();
    }
  });

  scenario('nothing is left', async () => {
    const { name, tunnel } = device;
    await tunnel.down();
    expect(isAlive(tunnel.pid)).toBe(false);
    expect(existsSync(`/var/run/wireguard/${name}.sock`)).toBe(false);
    expect(await ns.links()).toEqual(['lo']);
    expect(await ns.pids()).toEqual([]);
  });
}
