import { CapturedPacket } from '@wirestream/core/capture/packet';
import { Dissector } from '@wirestream/core/capture/dissect';
import { KeyRing } from '@wirestream/core/capture/keyring';
import { parseKeyLog } from '@wirestream/core/capture/keys';
import { LinkType } from '@wirestream/core/capture/link';
import { Tally } from '@wirestream/core/capture/tally';
import { nativeCrypto } from '@wirestream/core/noise/native';
import type { PacketSocket } from '@wirestream/core/linux/packetsocket';
import { must, mustEqual } from '../target.js';

/** How often the socket is looked at, ms; what comes meanwhile waits in the kernel. */
const LOOK = 5;
const BUDGET = 4096;

interface Packet {
  readonly bytes: Uint8Array;
  readonly original: number;
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** What goes over the loopback interface to and from a port, seen from outside. */
export class Wire {
  readonly #packets: Packet[] = [];
  readonly #timer = setInterval(() => this.take(), LOOK);

  private constructor(
    private readonly socket: PacketSocket,
    private readonly port: number,
  ) {}

  static async begin(port: number): Promise<Wire> {
    const { PacketSocket } = await import('@wirestream/core/linux/packetsocket');
    return new Wire(new PacketSocket(0, [port]), port);
  }

  take(): void {
    const keep = (bytes: Uint8Array, offset: number, length: number, original: number, s: number, ns: number) =>
      void this.#packets.push({ bytes: bytes.slice(offset, offset + length), original, seconds: s, nanoseconds: ns });
    while (this.socket.receive(keep, BUDGET) === BUDGET);
  }

  /**
   * What was seen is the tunnel's and opens with its keys, every message of it.
   * @param keys a key log
   * @returns messages
   */
  end(keys: string): number {
    const ring = new KeyRing(nativeCrypto);
    ring.add(parseKeyLog(keys, 'key log'));
    const tally = new Tally([], [this.port]);
    const dissector = new Dissector({ crypto: nativeCrypto, ring, sink: tally, listenPorts: [this.port] });
    const packet = new CapturedPacket();
    packet.linkType = LinkType.raw;
    let last = 0;
    for (const { bytes, original, seconds, nanoseconds } of this.#packets) {
      must(seconds >= last - 1 && nanoseconds < 1e9, () => `a packet of ${seconds} s behind one of ${last} s`);
      last = seconds;
      packet.number++;
      Object.assign(packet, {
        seconds,
        nanoseconds,
        bytes,
        offset: 0,
        capturedLength: bytes.length,
        originalLength: original,
      });
      dissector.packet(packet);
    }
    dissector.end();
    if (this.socket.dropped > 0) return tally.decrypted;
    mustEqual(
      [tally.errors, tally.failed, tally.undecrypted],
      [0, 0, 0],
      'faults, forgeries and unopened messages on the wire',
    );
    must(tally.decrypted > 0, 'nothing was seen on the wire');
    return tally.decrypted;
  }

  close(): void {
    clearInterval(this.#timer);
    this.socket.close();
  }
}
