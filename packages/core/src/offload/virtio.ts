import type { Slab } from '../slab/slab.js';

/**
 * The virtio-net header that stands in front of each packet on a TUN with IFF_VNET_HDR (virtio 1.2 §5.1.6, legacy form in
 * host order; linux/virtio_net.h).
 *
 * | offset | size | field | |
 * |---|---|---|---|
 * | 0 | 1 | flags | 1: the checksum at csumStart + csumOffset is only that of the pseudo header yet |
 * | 1 | 1 | gsoType | what kind of super-packet, or none |
 * | 2 | 2 | hdrLen | bytes of headers, a hint |
 * | 4 | 2 | gsoSize | payload bytes of each segment but the last |
 * | 6 | 2 | csumStart | from where on to sum, counted from the IP header |
 * | 8 | 2 | csumOffset | where to store, counted from csumStart |
 */
export const VIRTIO_HEADER = 10;

export const NEEDS_CSUM = 1;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
/** or-ed to a TCP type: CWR is set on the first segment */
export const GSO_ECN = 0x80;

/** One header, read or to be written; kept and used again. */
export class VirtioHeader {
  flags = 0;
  gsoType = GSO_NONE;
  hdrLen = 0;
  gsoSize = 0;
  csumStart = 0;
  csumOffset = 0;

  read(slab: Slab, offset: number): void {
    const { view } = slab;
    this.flags = view.getUint8(offset);
    this.gsoType = view.getUint8(offset + 1);
    this.hdrLen = view.getUint16(offset + 2, true);
    this.gsoSize = view.getUint16(offset + 4, true);
    this.csumStart = view.getUint16(offset + 6, true);
    this.csumOffset = view.getUint16(offset + 8, true);
  }

  write(slab: Slab, offset: number): void {
    const { view } = slab;
    view.setUint8(offset, this.flags);
    view.setUint8(offset + 1, this.gsoType);
    view.setUint16(offset + 2, this.hdrLen, true);
    view.setUint16(offset + 4, this.gsoSize, true);
    view.setUint16(offset + 6, this.csumStart, true);
    view.setUint16(offset + 8, this.csumOffset, true);
  }
}

/** The payload bytes of each segment but the last, of a header where it lies. */
export function virtioSegment(slab: Slab, offset: number): number {
  return slab.view.getUint16(offset + 4, true);
}

/** The header of a packet that is complete as it is. */
export function writePlainHeader(slab: Slab, offset: number): void {
  slab.view.setInt32(offset, 0);
  slab.view.setInt32(offset + 4, 0);
  slab.view.setInt16(offset + 8, 0);
}
