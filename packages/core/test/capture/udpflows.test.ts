import { describe, expect, test } from '@jest/globals';
import { FlowEnd, FlowKey } from '../../src/capture/flowkey.js';
import { IpView } from '../../src/capture/ipview.js';
import { representAsUdp } from '../../src/capture/represent.js';
import { UdpFlowTable } from '../../src/capture/udpflows.js';

function viewOf(source: string, destination: string, sourcePort: number, destinationPort: number) {
  const bytes = representAsUdp({ source, destination, sourcePort, destinationPort }, new Uint8Array(32))!;
  const view = new IpView();
  expect(view.parse(bytes, 0, bytes.length) && view.parseUdp(bytes)).toBe(true);
  return { view, bytes };
}

describe('flows', () => {
  test.each([
    ['192.0.2.1', '198.51.100.200', 1, 65535],
    ['198.51.100.200', '192.0.2.1', 51820, 51820],
    ['fd00::1', '2001:db8:1:2:3:4:5:ff', 40000, 51820],
    ['2001:db8:1:2:3:4:5:ff', 'fd00::1', 51820, 40000],
  ])('the ends of %s and %s are read out of the key', (a, b, from, to) => {
    const { view, bytes } = viewOf(a, b, from, to);
    const key = new FlowKey();
    key.set(view, bytes);
    const ends = [new FlowEnd(key.key, key.swapped), new FlowEnd(key.key, !key.swapped)];
    expect(ends.map(({ address, port }) => [address, port])).toEqual([
      [a, from],
      [b, to],
    ]);
    expect(ends[0]!.text).toBe(a.includes(':') ? `[${a}]:${from}` : `${a}:${from}`);
  });

  test('one that goes on keeps its number while a flood of others comes by', () => {
    const flows = new UdpFlowTable();
    const ours = viewOf('192.0.2.1', '192.0.2.2', 51820, 51820);
    const silent = viewOf('192.0.2.3', '192.0.2.2', 51820, 51820);
    expect([flows.find(ours.view, ours.bytes).id, flows.find(silent.view, silent.bytes).id]).toEqual([0, 1]);
    const other = viewOf('10.0.0.0', '192.0.2.2', 51820, 51820);
    for (let i = 0; i < 40_000; i++) {
      other.bytes[14] = i >> 8;
      other.bytes[15] = i;
      flows.find(other.view, other.bytes);
      if (i % 1000 === 0) expect(flows.find(ours.view, ours.bytes).id).toBe(0);
    }
    expect(flows.find(silent.view, silent.bytes).id).toBeGreaterThan(1);
  });
});
