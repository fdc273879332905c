import { endpointOf, formatEndpoint, type Endpoint } from '@wirestream/core/address/endpoint';
import { formatPrefix, parseIp, parsePrefix } from '@wirestream/core/address/ip';
import { emptyInterface, type Config, type PeerConfig } from '@wirestream/core/config/config';
import { formatKey, isZeroKey } from '@wirestream/core/config/key';
import type { DeviceSettings, Transport } from '@wirestream/core/device/settings';
import type { DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { clamp } from '@wirestream/core/noise/identity';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { addition, difference, replacement } from '../../src/config/apply.js';

/**
 * A device reduced to its configuration, as a plain model: what settings.ts says that settings do, done the slow way.
 */
interface Model {
  privateKey: string | null;
  listenPort: number;
  fwmark: number;
  transport: Transport;
  peers: Map<string, ModelPeer>;
}
interface ModelPeer {
  psk: string | null;
  endpoint: string | null;
  transport: Transport | null;
  keepalive: number;
  ips: Set<string>;
}

const key = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const textOf = (k: Uint8Array | null): string | null => (k === null || isZeroKey(k) ? null : formatKey(k));

function apply(model: Model, settings: DeviceSettings): Model {
  const peers = new Map(
    settings.replacePeers === true ? [] : [...model.peers].map(([k, p]) => [k, { ...p, ips: new Set(p.ips) }]),
  );
  for (const change of settings.peers) {
    const name = formatKey(change.publicKey);
    if (change.remove === true) {
      peers.delete(name);
      continue;
    }
    const peer = peers.get(name) ?? { psk: null, endpoint: null, transport: null, keepalive: 0, ips: new Set() };
    peers.set(name, peer);
    if (change.presharedKey !== undefined) peer.psk = textOf(change.presharedKey);
    if (change.endpoint !== undefined) peer.endpoint = formatEndpoint(change.endpoint);
    if (change.transport !== undefined) peer.transport = change.transport;
    if (change.persistentKeepalive !== undefined) peer.keepalive = change.persistentKeepalive;
    if (change.replaceAllowedIps === true) peer.ips.clear();
    for (const { prefix, remove } of change.allowedIps) {
      const text = formatPrefix(prefix);
      if (remove === true) peer.ips.delete(text);
      else {
        for (const other of peers.values()) other.ips.delete(text);
        peer.ips.add(text);
      }
    }
  }
  const { privateKey = undefined, listenPort = model.listenPort, fwmark = model.fwmark } = settings;
  return {
    privateKey: privateKey === undefined ? model.privateKey : privateKey === null ? null : textOf(clamp(privateKey)),
    listenPort,
    fwmark,
    transport: settings.transport ?? model.transport,
    peers,
  };
}

/** What a device tells of itself: a peer's own choice of transport only where it makes a difference. */
function snapshot(model: Model): DeviceSnapshot {
  const endpoint = (text: string | null): Endpoint | null => {
    const match = text === null ? null : /^(.*):(\d+)$/.exec(text);
    return match === null ? null : endpointOf(parseIp(match[1]!)!, Number(match[2]));
  };
  return {
    privateKey: model.privateKey === null ? null : Uint8Array.from(Buffer.from(model.privateKey, 'base64')),
    publicKey: null,
    listenPort: model.listenPort,
    fwmark: model.fwmark,
    transport: model.transport,
    pending: { size: 0, refusals: {} },
    drops: {},
    peers: [...model.peers].map(([name, peer]): PeerSnapshot => ({
      publicKey: Uint8Array.from(Buffer.from(name, 'base64')),
      presharedKey: peer.psk === null ? null : Uint8Array.from(Buffer.from(peer.psk, 'base64')),
      endpoint: endpoint(peer.endpoint),
      allowedIps: [...peer.ips].map((text) => parsePrefix(text)!),
      lastHandshake: 0,
      rxBytes: 0,
      txBytes: 0,
      persistentKeepalive: peer.keepalive,
      transport: peer.transport ?? model.transport,
      connections: [],
      drops: {},
    })),
  };
}

/** What can be seen from outside, in an order of its own. */
const seen = (model: Model, port: 'with port' | 'without port' = 'with port'): unknown => ({
  ...model,
  listenPort: port === 'with port' ? model.listenPort : 0,
  peers: [...model.peers]
    .map(([name, peer]) => [name, { ...peer, transport: peer.transport ?? model.transport, ips: [...peer.ips].sort() }])
    .sort(),
});

const EMPTY: Model = { privateKey: null, listenPort: 0, fwmark: 0, transport: 'udp', peers: new Map() };

const transports = fc.option(fc.constantFrom<Transport>('tcp', 'udp'), { nil: undefined });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const peers = fc.record({
  n: fc.integer({ min: 1, max: 4 }),
  psk: optional(fc.constantFrom(key(0), key(9))),
  allowedIps: fc.array(
    fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', 'fd00::/64', '0.0.0.0/0').map((t) => parsePrefix(t)!),
  ),
  port: optional(fc.integer({ min: 1, max: 2 })),
  keepalive: optional(fc.integer({ min: 0, max: 1 })),
  transport: transports,
});
const files = fc
  .record({
    privateKey: optional(fc.constantFrom(key(0), key(0x77), key(0xff))),
    listenPort: optional(fc.integer({ min: 1, max: 2 })),
    fwmark: optional(fc.integer({ min: 0, max: 1 })),
    transport: transports,
    peers: fc.uniqueArray(peers, { selector: ({ n }) => n, maxLength: 4 }),
  })
  .map(({ peers: list, ...iface }) => {
    const defined = (o: object) => Object.fromEntries(Object.entries(o).filter(([, value]) => value !== undefined));
    const config = {
      interface: { ...emptyInterface(), ...defined(iface) },
      peers: list.map(
        ({ n, psk, keepalive, transport, allowedIps }) =>
          ({
            publicKey: key(n),
            allowedIps,
            ...defined({ presharedKey: psk, persistentKeepalive: keepalive, transport }),
          }) as PeerConfig,
      ),
    } as Config;
    const endpoints = list.map(({ port }) => (port === undefined ? null : endpointOf(parseIp('192.0.2.1')!, port)));
    return { config, endpoints };
  });

describe('what a file changes', () => {
  test('syncconf gets to where setconf gets, but for a port that the file does not name and endpoints', () => {
    fc.assert(
      fc.property(files, files, (before, after) => {
        const running = apply(EMPTY, replacement(before.config, before.endpoints, snapshot(EMPTY)));
        const set = apply(running, replacement(after.config, after.endpoints, snapshot(running)));
        const change = difference(after.config, after.endpoints, snapshot(running));
        const synced = change === null ? running : apply(running, change);
        // A peer that stays keeps the endpoint that a file without one says nothing of, as with wg(8).
        for (const [name, peer] of set.peers) peer.endpoint ??= running.peers.get(name)?.endpoint ?? null;
        const port = after.config.interface.listenPort === undefined ? 'without port' : 'with port';
        expect(seen(synced, port)).toEqual(seen(set, port));
        expect(difference(after.config, after.endpoints, snapshot(synced))).toBeNull();
      }),
    );
  });

  test('syncconf does not mention peers that stay as they are', () => {
    fc.assert(
      fc.property(files, fc.integer({ min: 0, max: 3 }), ({ config, endpoints }, n) => {
        const running = apply(EMPTY, replacement(config, endpoints, snapshot(EMPTY)));
        expect(difference(config, endpoints, snapshot(running))).toBeNull();
        fc.pre(n < config.peers.length);
        const without = difference(
          { ...config, peers: config.peers.filter((_, i) => i !== n) },
          endpoints.filter((_, i) => i !== n),
          snapshot(running),
        );
        // Others only where they get a range that the one took from them.
        const named = new Set(without!.peers.map(({ publicKey }) => formatKey(publicKey)));
        const { publicKey, allowedIps } = config.peers[n]!;
        expect(without!.peers).toContainEqual({ publicKey, remove: true, allowedIps: [] });
        for (const peer of config.peers) {
          if (peer === config.peers[n]) continue;
          const shares = peer.allowedIps.some((a) => allowedIps.some((b) => formatPrefix(a) === formatPrefix(b)));
          if (!shares) expect(named.has(formatKey(peer.publicKey))).toBe(false);
        }
      }),
    );
  });

  test("addconf changes what the file names, and gives its peers the file's ranges", () => {
    fc.assert(
      fc.property(files, files, (before, after) => {
        const running = apply(EMPTY, replacement(before.config, before.endpoints, snapshot(EMPTY)));
        const added = apply(running, addition(after.config, after.endpoints));
        const { interface: iface } = after.config;
        expect(added.fwmark).toBe(iface.fwmark ?? running.fwmark);
        expect(added.listenPort).toBe(iface.listenPort ?? running.listenPort);
        expect(added.privateKey).toBe(
          iface.privateKey === undefined
            ? running.privateKey
            : isZeroKey(iface.privateKey)
              ? null
              : textOf(clamp(iface.privateKey)),
        );
        for (const [name, peer] of running.peers) {
          const there = added.peers.get(name)!;
          const told = after.config.peers.find(({ publicKey }) => formatKey(publicKey) === name);
          expect(there.keepalive).toBe(told?.persistentKeepalive ?? peer.keepalive);
          expect(there.psk).toBe(told?.presharedKey === undefined ? peer.psk : textOf(told.presharedKey));
          for (const ip of told === undefined ? [] : there.ips) {
            expect(told!.allowedIps.map(formatPrefix)).toContain(ip);
          }
        }
      }),
    );
  });

  test('a transport is not mentioned to those who would not know it', () => {
    fc.assert(
      fc.property(files, files, (before, after) => {
        const plain = ({ config, endpoints }: typeof before) => ({
          config: {
            interface: Object.fromEntries(
              Object.entries(config.interface).filter(([name]) => name !== 'transport'),
            ) as unknown as Config['interface'],
            peers: config.peers.map(({ transport: _, ...peer }) => peer),
          },
          endpoints,
        });
        const [a, b] = [plain(before), plain(after)];
        const running = apply(EMPTY, replacement(a.config, a.endpoints, snapshot(EMPTY)));
        for (const settings of [
          replacement(b.config, b.endpoints, snapshot(running)),
          difference(b.config, b.endpoints, snapshot(running)),
          addition(b.config, b.endpoints),
        ]) {
          expect(JSON.stringify(settings)).not.toContain('transport');
        }
      }),
    );
  });
});
