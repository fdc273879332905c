import { expect, test } from '@jest/globals';
import { Message, Status } from '../../src/capture/message.js';
import type { UdpFlow } from '../../src/capture/udpflows.js';
import { Tally } from '../../src/capture/tally.js';

/** A decrypted message with that plaintext. */
function message(inner: Uint8Array): Message {
  const m = new Message();
  m.flow = { id: 0 } as UdpFlow;
  m.type = 4;
  m.length = m.present = 32 + inner.length;
  m.status = Status.decrypted;
  m.inner = inner;
  m.innerLength = inner.length;
  return m;
}

test('packets are counted, not keepalives, nor what two wirestreams tell each other', () => {
  const tally = new Tally();
  const packet = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 0x45 : i === 3 ? 28 : 0));
  const announcement = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 0x57 : 1));
  for (const inner of [packet, new Uint8Array(), announcement, packet]) tally.message(message(inner));
  expect(tally).toMatchObject({ decrypted: 4, innerPackets: 2, keepalives: 1 });
});
