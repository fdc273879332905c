import { CapturedPacket } from '@wirestream/core/capture/packet';
import type { CaptureWriter } from '@wirestream/core/capture/capturewriter';
import { Dissector } from '@wirestream/core/capture/dissect';
import type { KeyRing } from '@wirestream/core/capture/keyring';
import { LinkType } from '@wirestream/core/capture/link';
import { MessageWriter } from '@wirestream/core/capture/rewrite';
import { WirestreamError } from '@wirestream/core/device/errors';
import { interfaceIndex } from '../control/zones.js';
import type { Provider } from '../decode/provider.js';
import type { CaptureSink } from './sink.js';
import type { CaptureEnd } from './tunnel.js';

/** How often the socket is looked at while nothing comes, ms. What comes meanwhile waits in the kernel. */
const LOOK = 10;
/** Packets taken before everything else has its turn. */
const BUDGET = 2048;
/** How often that many are taken at the end: more than fit into the kernel's buffer. */
const DRAIN = 64;

/**
 * Captures what goes over a network interface until `stop` is given or as many packets as wanted are there.
 * @param name of the interface; `any` for all
 * @param ready is called when nothing that goes by from now on will be missed
 * @throws WirestreamError no-such-interface, capture-forbidden, capture-failed
 */
export async function captureWire(
  { name, ports, limit }: { name: string; ports: readonly number[]; limit: number },
  { ring, provider }: { ring: KeyRing; provider: Provider },
  writer: CaptureWriter,
  sink: CaptureSink,
  stop: AbortSignal,
  ready: () => void,
): Promise<CaptureEnd> {
  const { PacketSocket } = await import('@wirestream/core/linux/packetsocket');
  const index = name === 'any' ? 0 : interfaceIndex(name);
  if (index === 0 && name !== 'any') {
    throw new WirestreamError('no-such-interface', `there is no interface ${name}`, 'ip link shows them');
  }
  const socket = new PacketSocket(index, ports);
  const dissector = new Dissector({ ...provider, ring, sink: new MessageWriter(writer), listenPorts: ports });
  const packet = new CapturedPacket();
  packet.linkType = LinkType.raw;
  const take = (bytes: Uint8Array, offset: number, length: number, original: number, s: number, ns: number): void => {
    packet.number++;
    packet.seconds = s;
    packet.nanoseconds = ns;
    packet.bytes = bytes;
    packet.offset = offset;
    packet.capturedLength = length;
    packet.originalLength = original;
    dissector.packet(packet);
  };
  try {
    ready();
    while (!stop.aborted && writer.packets < limit) {
      const n = socket.receive(take, BUDGET);
      sink.settle(n === 0);
      // Packets that wait for others wait in the capture's time, which stands still when nothing comes.
      if (n === 0) dissector.idle(Date.now() / 1000);
      await pause(n === BUDGET ? 0 : LOOK, stop);
    }
    // What waits in the kernel went by before the end.
    for (let more = DRAIN; more > 0 && writer.packets < limit; more--) if (socket.receive(take, BUDGET) < BUDGET) break;
    const { dropped } = socket;
    dissector.end();
    writer.finish(packet, dropped);
    return { dropped, gone: false };
  } finally {
    socket.close();
  }
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    stop.addEventListener('abort', done);
  });
}
