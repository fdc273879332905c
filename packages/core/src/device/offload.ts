import { offloadRecordLength } from '../offload/record.js';
import { Segmenter } from '../offload/segment.js';
import { VIRTIO_HEADER } from '../offload/virtio.js';
import type { Device } from './device.js';
import type { DropReason } from './drops.js';
import type { Peer } from './peer.js';

const segmenter = new Segmenter();

/**
 * An offload record came from the peer, authentic: `available` bytes at `room` of the inner slab, which was reserved with SPILL bytes more. It is
 * checked, like any packet for where it comes from, too, and delivered: whole where the driver takes super-packets, else cut into the packets
 * that it stands for, one after the other where they lie.
 * @returns why it was dropped; null when it was delivered
 */
export function deliverOffload(
  device: Device,
  now: number,
  peer: Peer,
  room: number,
  available: number,
): DropReason | null {
  const { inner } = device.driver;
  const { slab } = inner;
  const length = offloadRecordLength(slab, room, available);
  if (length === 0) return 'bad-offload-record';
  const packet = room + VIRTIO_HEADER;
  if (device.allowedIps.lookupSource(slab.bytes, packet, length - VIRTIO_HEADER) !== peer) return 'wrong-source';
  if (device.tap !== null) device.tap.incoming(now, peer, slab, packet, length - VIRTIO_HEADER);
  if (inner.commitSuper !== undefined && inner.commitSuper(room, length)) return null;
  if (!segmenter.begin(slab, room, length)) return 'bad-offload-record';
  while (segmenter.next()) inner.commit(segmenter.offset, segmenter.length, peer);
  return null;
}
