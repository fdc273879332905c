import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { must, run, type Result } from './support/command.js';
import { identity, presharedKey } from './support/keys.js';
import { Namespace } from './support/netns.js';
import { reachable } from './support/ping.js';
import { describeReal } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { pair } from './support/topology.js';
import type { Tunnel } from './support/tunnel.js';
import { upWireguardGo } from './support/wireguardgo.js';
import { endpoint } from './support/wgquick.js';
import { WIRESTREAM, Wirestream } from './support/wirestream.js';

/** `wirestream set`, `setconf`, `addconf`, `syncconf` and `showconf` beside what wg(8) does. */
jest.setTimeout(60_000);

describeReal('the subcommands of wg(8) that change and print', ['wg', 'wireguard-go'], () => {
  const scope = new Scope();
  const directory = scope.directory();
  const keys = [identity(), identity(), identity(), identity()] as const;
  const psk = presharedKey();
  let byWg: Tunnel;
  let byUs: Tunnel;
  let files = 0;

  beforeAll(async () => {
    const spaces = await Promise.all(['wg', 'us'].map(async (label) => Namespace.create(scope, label)));
    const iface = { privateKey: keys[0].privateKey, listenPort: 5555 };
    [byWg, byUs] = (await Promise.all(
      spaces.map(async (space) => upWireguardGo(scope, space, { iface, peers: [] })),
    )) as [Tunnel, Tunnel];
  });
  afterAll(async () => scope.close());

  const file = (...lines: string[]): string => {
    const path = join(directory, `file${files++}`);
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
    return path;
  };
  const ours = async (args: readonly string[], input?: string): Promise<Result> =>
    run([...WIRESTREAM, ...args], input === undefined ? {} : { input });

  /** wireguard-go tells its peers in an order of its own. */
  const sorted = (text: string, { name }: Tunnel): string[] =>
    text
      .replaceAll(name, 'NAME')
      .split(/^(?=\[Peer\])/m)
      .map((part) => part.trimEnd())
      .sort();

  /** Does the same to two devices, with wg(8) and with ours; they come to the same, and exit alike. */
  const both = async (command: string, ...args: string[]): Promise<Result> => {
    const [theirs, mine] = await Promise.all([
      run(['wg', command, byWg.name, ...args]),
      ours([command, byUs.name, ...args]),
    ]);
    expect([args, mine.code, mine.stdout]).toEqual([args, theirs.code, theirs.stdout]);
    const [a, b] = await Promise.all([byWg, byUs].map(async ({ name }) => must(['wg', 'showconf', name])));
    expect(sorted(b!, byUs)).toEqual(sorted(a!, byWg));
    return mine;
  };

  const head = ['[Interface]', `PrivateKey = ${keys[0].privateKey}`, 'ListenPort = 5555'];
  const peer = (i: 1 | 2 | 3, ...lines: string[]): string[] => ['[Peer]', `PublicKey = ${keys[i].publicKey}`, ...lines];

  test('set', async () => {
    await both('set', 'fwmark', '0xca6c');
    await both('set', 'peer', keys[1].publicKey, 'endpoint', '127.0.0.9:1234', 'persistent-keepalive', '25');
    await both('set', 'peer', keys[2].publicKey, 'preshared-key', file(psk), 'endpoint', '[::1]:1234');
    await both('set', 'peer', keys[3].publicKey, 'allowed-ips', '10.1.0.0/16, fd00:1::/48,10.2.0.77/24');
    await both(
      'set',
      'peer',
      keys[1].publicKey,
      'allowed-ips',
      '10.2.0.0/24',
      'peer',
      keys[3].publicKey,
      'allowed-ips',
      '',
    );
    await both('set', 'fwmark', 'off', 'private-key', '/dev/null', 'peer', keys[2].publicKey, 'remove');
    await both('set', 'listen-port', '5556', 'private-key', file(keys[0].privateKey));
  });

  // (That syncconf takes away a preshared key which the file has not, Debian's wg does not do yet; newer ones and ours do.)
  test('setconf, addconf, syncconf', async () => {
    await both('setconf', file(...head, 'FwMark = 7', ...peer(1, 'AllowedIPs = 10.1.0.0/16'), ...peer(2)));
    await both(
      'addconf',
      file(...peer(3, `PresharedKey = ${psk}`, 'Endpoint = localhost:3', 'AllowedIPs = 10.3.0.0/16')),
    );
    await both('addconf', file(...peer(1, 'AllowedIPs = 10.9.0.0/16')));
    await both(
      'syncconf',
      file(
        ...head,
        ...peer(1, 'AllowedIPs = 10.1.0.0/16, 10.4.0.0/16'),
        ...peer(3, `PresharedKey = ${psk}`, 'PersistentKeepalive = 9'),
      ),
    );
    await both('syncconf', file(...head, 'FwMark = 9'));
    await both('setconf', file(...head));
  });

  test('what is wrong changes nothing, and exits with 1', async () => {
    const said = async (...args: string[]) => (await both(...(args as [string]))).stderr.split('\n')[0];
    expect(await said('set', 'nonsense', '1')).toBe('wirestream: Invalid argument: nonsense');
    expect(await said('set', 'peer', 'x')).toBe("wirestream: Key is not the correct length or format: `x'");
    expect(await said('set')).toMatch(/^wirestream: Usage: wirestream set <interface> \[listen-port <port>\]/);
    expect(await said('set', 'private-key', join(directory, 'none'))).toMatch(/none: no such file$/);
    expect(await said('set', 'private-key', file('short'))).toMatch(/: Invalid length key in key file$/);
    expect(await said('set', 'private-key', file(psk, psk))).toMatch(/: Found trailing characters in key file$/);
    expect(await said('setconf', file('[Interface]', 'Nonsense = 1'))).toMatch(/:2: unknown key Nonsense/);
    expect(await said('setconf', file('[Interface]', 'Address = 10.0.0.1/24'))).toMatch(
      /: Address is for up and wg-quick/,
    );
    expect(await said('setconf', join(directory, 'none'))).toMatch(/: no such file$/);
    expect(await said('setconf')).toBe('wirestream: Usage: wirestream setconf <interface> <configuration filename>');
    expect(await said('set', 'peer', keys[1].publicKey, 'endpoint', 'localhost')).toMatch(/: no port$/);
    for (const args of [
      ['set', 'nosuch0', 'fwmark', '1'],
      ['setconf', 'nosuch0', file(...head)],
      ['showconf', 'nosuch0'],
    ]) {
      const { code, stderr } = await ours(args);
      expect([code, stderr.split('\n')[0]]).toEqual([
        1,
        expect.stringMatching(/^wirestream: Unable to (modify|access) interface nosuch0: No such device$/),
      ]);
    }
  });

  test('secrets: from standard input, and a warning where others can read them', async () => {
    const { publicKey } = keys[1];
    const set = await ours(['set', byUs.name, 'peer', publicKey, 'preshared-key', '/dev/stdin'], `${psk}\n`);
    expect([set.code, set.stderr]).toEqual([0, '']);
    expect(await must(['wg', 'show', byUs.name, 'preshared-keys'])).toBe(`${publicKey}\t${psk}\n`);
    expect((await ours(['setconf', byUs.name, '/dev/stdin'], head.join('\n'))).code).toBe(0);
    expect(await must(['wg', 'show', byUs.name, 'peers'])).toBe('');
    const open = file(psk);
    chmodSync(open, 0o644);
    const { code, stderr } = await ours(['set', byUs.name, 'peer', publicKey, 'preshared-key', open]);
    expect([code, stderr]).toEqual([
      0,
      `warning: ${open}: others can read it, and it holds a secret (chmod 600 ${open})\n`,
    ]);
  });

  test('a transport is refused by those who know none', async () => {
    const { code, stderr } = await ours(['set', byUs.name, 'transport', 'tcp']);
    expect([code, stderr.split('\n')[0]]).toEqual([
      1,
      `wirestream: Unable to modify interface ${byUs.name}: Invalid argument`,
    ]);
    expect(stderr).toContain('only tunnels of wirestream know transport');
  });

  test('showconf is what wg prints, and setconf takes it, with transports', async () => {
    const tunnel = await Wirestream.up(scope, byUs.home, {
      iface: { privateKey: keys[0].privateKey, listenPort: 6666, fwMark: 9 },
      peers: [
        {
          publicKey: keys[1].publicKey,
          presharedKey: psk,
          allowedIPs: ['10.1.0.0/16', 'fd00::/64'],
          endpoint: '[fd01::1]:7',
        },
        { publicKey: keys[2].publicKey, allowedIPs: [], persistentKeepalive: 7 },
      ],
    });
    const { name } = tunnel;
    const shown = async () => (await ours(['showconf', name])).stdout;
    expect(await shown()).toBe(await must(['wg', 'showconf', name]));
    const plain = await shown();
    expect((await ours(['set', name, 'transport', 'tcp', 'peer', keys[1].publicKey, 'transport', 'udp'])).code).toBe(0);
    const text = await shown();
    expect(text.split('\n').filter((line) => /^(\[|Transport)/.test(line))).toEqual([
      '[Interface]',
      'Transport = tcp',
      '[Peer]',
      'Transport = udp',
      '[Peer]',
    ]);
    expect(await must(['wg', 'showconf', name])).toBe(plain);
    await must(['wg', 'set', name, 'peer', keys[1].publicKey, 'remove']);
    expect((await ours(['setconf', name, '/dev/stdin'], text)).code).toBe(0);
    expect(await shown()).toBe(text);
    // Without a transport in the file there is none afterwards either.
    expect((await ours(['syncconf', name, '/dev/stdin'], plain)).code).toBe(0);
    expect(await shown()).toBe(plain);
    await tunnel.down();
  });

  test('syncconf leaves connections and sessions of peers alone that stay, by wg and by us', async () => {
    const { a, b } = await pair(scope);
    const [one, two] = [identity(), identity()];
    const transport = 'tcp' as const;
    const bTunnel = await Wirestream.up(scope, b.ns, {
      iface: { privateKey: two.privateKey, listenPort: 7777, address: ['10.9.0.2/24'], transport },
      peers: [{ publicKey: one.publicKey, allowedIPs: ['10.9.0.1/32'] }],
    });
    const aTunnel = await Wirestream.up(scope, a.ns, {
      iface: { privateKey: one.privateKey, address: ['10.9.0.1/24'], transport },
      peers: [{ publicKey: two.publicKey, allowedIPs: ['10.9.0.2/32'], endpoint: endpoint(b.v4, 7777) }],
    });
    await reachable(a.ns, '10.9.0.2');
    const state = async () => {
      const { lastHandshake, connections } = (await aTunnel.snapshot()).peers.find(({ endpoint: e }) => e !== null)!;
      return { lastHandshake, ids: connections.map(({ id, state: s }) => `${id} ${s}`) };
    };
    const before = await state();
    const lines = (...more: string[]) => {
      const port = ['[Interface]', `PrivateKey = ${one.privateKey}`];
      return [
        ...port,
        ...more,
        '[Peer]',
        `PublicKey = ${two.publicKey}`,
        'AllowedIPs = 10.9.0.2/32',
        `Endpoint = ${b.v4}:7777`,
      ];
    };
    const other = ['[Peer]', `PublicKey = ${keys[3].publicKey}`, 'AllowedIPs = 10.9.0.3/32'];
    expect((await ours(['syncconf', aTunnel.name, file(...lines('Transport = tcp'), ...other)])).code).toBe(0);
    expect((await aTunnel.snapshot()).peers).toHaveLength(2);
    expect(await state()).toEqual(before);
    const { listenPort } = await aTunnel.snapshot();
    await must(['wg', 'syncconf', aTunnel.name, file(...lines(`ListenPort = ${listenPort}`))]);
    expect((await aTunnel.snapshot()).peers).toHaveLength(1);
    await reachable(a.ns, '10.9.0.2');
    expect(await state()).toEqual(before);
    await Promise.all([aTunnel.down(), bTunnel.down()]);
  });
});
