import { expect, test } from '@jest/globals';
import { CaptureReader } from '../../src/capture/capturefile.js';
import type { CapturedPacket } from '../../src/capture/packet.js';
import { PcapWriter } from '../../src/capture/pcapwriter.js';
import { representAsUdp } from '../../src/capture/represent.js';
import { InnerWriter } from '../../src/capture/rewrite.js';
import { makePacket, makeSuper, virtioBytes } from '../linux/offload/packets.js';
import { decode, messagesOf } from './decode.js';
import { concat } from './frames.js';
import { Tunnel } from './tunnel.js';

test('of an offload record decode shows the packet, without the header in front, and how it is cut', () => {
  const tunnel = new Tunnel(7);
  const session = tunnel.handshake();
  const shape = { version: 4, tcp: true, source: 1, target: 2, sourcePort: 1000, targetPort: 80 } as const;
  const { virtio, packet } = makeSuper(makePacket({ ...shape, payload: new Uint8Array(5000) }), 1380);
  const pcap = new PcapWriter({ linkType: 101, nanoseconds: true });
  const between = (from: number) => ({
    source: `192.0.2.${from}`,
    destination: `192.0.2.${3 - from}`,
    sourcePort: 51820,
    destinationPort: 51820,
  });
  const file = concat(
    pcap.header(),
    ...[
      representAsUdp(between(1), session.initiation)!,
      representAsUdp(between(2), session.response)!,
      representAsUdp(between(1), session.data('a', concat(virtioBytes(virtio), packet)))!,
    ].map((bytes, i) => pcap.packet(i, 0, bytes)),
  );
  const parts: Uint8Array[] = [];
  const decoded = decode(file, [tunnel.keys()], [new InnerWriter((bytes) => parts.push(bytes), 'pcap', 'test')]);
  expect(messagesOf(decoded)[2]).toMatchObject({
    inner: { version: 4, length: packet.length, protocol: 'tcp', sourcePort: 1000, info: 'ACK 5000 bytes' },
    segmentSize: 1380,
  });
  expect(messagesOf(decoded)[0]).not.toHaveProperty('segmentSize');
  const inner: Uint8Array[] = [];
  const reader = new CaptureReader({ packet: (one: CapturedPacket) => inner.push(one.data.slice()) } as never);
  reader.push(concat(...parts));
  reader.end();
  expect(inner).toEqual([packet]);
});
