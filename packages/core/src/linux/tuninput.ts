import type { Device } from '../device/device.js';
import { Nesting, NO_HOPS } from './nesting.js';
import { Segmenter, SPILL } from '../offload/segment.js';
import { giveSummableSlab, summableSlab } from './offload/vectorsum.js';
import { GSO_NONE, VIRTIO_HEADER } from '../offload/virtio.js';
import { read } from './syscalls.js';
import type { Tun } from './tun.js';
import type { Slab } from '../slab/slab.js';

/** Largest IP packet, bytes. */
const PACKET_MAX = 65_535;
/** Where a read begins, so that the IP header behind the virtio-net header is at a multiple of 4. */
const START = 2;

/** Takes the packets that leave through the TUN; the device does. */
export type PacketTaker = Pick<Device, 'packet'> & Partial<Pick<Device, 'superPacket'>>;

/** Reads from the TUN and cuts super-packets up, all in one slab that is used again for the next read. */
export class TunInput {
  /** packets handed on, and packets that the kernel's own header contradicted */
  packets = 0;
  malformed = 0;
  /** packets that went round through tunnels in tunnels, and were dropped */
  looped = 0;
  readonly #slab = summableSlab(START + VIRTIO_HEADER + PACKET_MAX + SPILL);
  readonly #segmenter = new Segmenter();
  readonly #nesting = new Nesting();

  /**
   * @param refused is told of each packet that no peer took, while it still lies in the slab
   * @param outer is told with how many hops what a packet leads to is to leave; 0: the system's choice
   */
  constructor(
    private readonly tun: Tun,
    private readonly refused: (slab: Slab, offset: number, length: number) => void = () => undefined,
    private readonly outer: { hops: number } = { hops: 0 },
  ) {}

  /**
   * Reads once and hands what came to `taker`, packet by packet.
   * @returns the bytes read, or the negative error number (-EAGAIN: nothing there)
   */
  read(now: number, taker: PacketTaker): number {
    const slab = this.#slab;
    if (!this.tun.vnetHeader) {
      const n = read(this.tun.fd, slab, START + VIRTIO_HEADER, PACKET_MAX);
      if (n > 0) this.#hand(now, taker, START + VIRTIO_HEADER, n);
      return n;
    }
    const n = read(this.tun.fd, slab, START, VIRTIO_HEADER + PACKET_MAX);
    if (n < 0) return n;
    // One message where the peer takes it so. (What goes round in loops are datagrams, not super-packets of TCP.)
    if (slab.bytes[START + 1] !== GSO_NONE && taker.superPacket?.(now, slab, START, n) === true) {
      this.packets++;
      return n;
    }
    const segmenter = this.#segmenter;
    if (!segmenter.begin(slab, START, n)) {
      this.malformed++;
      return n;
    }
    while (segmenter.next()) this.#hand(now, taker, segmenter.offset, segmenter.length);
    return n;
  }

  /** Gives its memory back; nothing may be read afterwards. */
  close(): void {
    giveSummableSlab(this.#slab);
  }

  #hand(now: number, taker: PacketTaker, offset: number, length: number): void {
    this.packets++;
    const hops = this.#nesting.hops(this.#slab, offset, length);
    if (hops === NO_HOPS) {
      this.looped++;
      return;
    }
    if (hops !== 0) this.outer.hops = hops;
    if (!taker.packet(now, this.#slab, offset, length)) this.refused(this.#slab, offset, length);
    if (hops !== 0) this.outer.hops = 0;
  }
}
