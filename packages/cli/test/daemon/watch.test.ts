import { describe, expect, test } from '@jest/globals';
import { parseEndpoint } from '@wirestream/core/address/endpoint';
import { changes } from '../../src/daemon/watch.js';
import { BARE_DEVICE, BARE_PEER, CONNECTION, key } from '../show/fixture.js';

const device = (...peers: (typeof BARE_PEER)[]) => ({ ...BARE_DEVICE, listenPort: 7, peers });

describe('what happened between two looks', () => {
  test('at first: what there is', () => {
    const peer = {
      ...BARE_PEER,
      endpoint: parseEndpoint('192.0.2.1:51820'),
      connections: [CONNECTION],
      lastHandshake: 1,
    };
    expect(changes(null, device(peer))).toEqual([
      'listening on port 7',
      'peer AQEBAQEB…: endpoint 192.0.2.1:51820',
      'peer AQEBAQEB…: outbound connection 3 to 192.0.2.1:51820 authenticated',
      'peer AQEBAQEB…: outbound connection 3 to 192.0.2.1:51820 in use',
      'peer AQEBAQEB…: handshake completed',
    ]);
  });

  test('nothing', () => {
    const peer = { ...BARE_PEER, connections: [CONNECTION], lastHandshake: 1 };
    expect(changes(device(peer), device({ ...peer, rxBytes: 100 }))).toEqual([]);
  });

  test('states, resyncs, roaming, endings', () => {
    const before = {
      ...BARE_PEER,
      endpoint: parseEndpoint('192.0.2.1:1'),
      connections: [CONNECTION],
      lastHandshake: 1,
    };
    const after = {
      ...before,
      endpoint: parseEndpoint('192.0.2.1:2'),
      lastHandshake: 2,
      connections: [
        { ...CONNECTION, state: 'draining' as const, active: false, resyncs: 1 },
        { ...CONNECTION, id: 4, direction: 'inbound' as const },
      ],
    };
    const name = 'peer AQEBAQEB…';
    expect(changes(device(before), device(after))).toEqual([
      `${name}: endpoint 192.0.2.1:2`,
      `${name}: outbound connection 3 to 192.0.2.1:51820 draining`,
      `${name}: outbound connection 3 to 192.0.2.1:51820 resynchronised`,
      `${name}: inbound connection 4 from 192.0.2.1:51820 authenticated`,
      `${name}: inbound connection 4 from 192.0.2.1:51820 in use`,
      `${name}: handshake completed`,
    ]);
    expect(changes(device(before), device({ ...before, connections: [] }))).toEqual([
      `${name}: outbound connection 3 to 192.0.2.1:51820 closed`,
    ]);
    expect(changes(device(before, { ...BARE_PEER, publicKey: key(2) }), device(before))).toEqual([
      'peer AgICAgIC…: removed',
    ]);
  });
});
