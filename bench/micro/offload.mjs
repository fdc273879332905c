import { nativeSlab } from '@wirestream/core/linux/nativeslab';
import { Coalescer } from '@wirestream/core/linux/offload/coalesce';
import { Segmenter } from '@wirestream/core/offload/segment';
import { VIRTIO_HEADER } from '@wirestream/core/offload/virtio';
import { LENGTH, SEGMENTS, superPacket } from './superpacket.mjs';
import { rate, timed } from './timer.mjs';

export const title = 'offload';

const ROOM = 128 * 1024;

export function run(options) {
  const input = superPacket();
  return [segmentation(input, options), coalescing(input, options)];
}

/** The input is laid out anew each time, because segments are made where it lies; that copy is part of the time. */
function segmentation(input, options) {
  const slab = nativeSlab(ROOM);
  const segmenter = new Segmenter();
  const seconds = timed((times) => {
    while (times-- > 0) {
      slab.bytes.set(input, 0);
      let count = 0;
      segmenter.begin(slab, 0, LENGTH);
      while (segmenter.next()) count++;
      if (count !== SEGMENTS) throw new Error(`${count} segments`);
    }
  }, options);
  return { id: 'segment', ...rate(`a TCP super-packet cut into ${SEGMENTS}`, 'GB/s', LENGTH, seconds, 1e9) };
}

function coalescing(input, options) {
  const { bytes, packets } = segments(input);
  const slab = nativeSlab(ROOM);
  let writes = 0;
  const coalescer = new Coalescer(slab, false, { write: () => writes++ });
  const seconds = timed((times) => {
    writes = 0;
    for (let i = 0; i < times; i++) {
      slab.bytes.set(bytes, 0);
      for (const [offset, length] of packets) coalescer.add(offset, length);
      coalescer.flush();
    }
    if (writes !== times) throw new Error(`${writes / times} writes`);
  }, options);
  return { id: 'coalesce', ...rate(`${SEGMENTS} TCP segments put together`, 'GB/s', LENGTH, seconds, 1e9) };
}

/** The segments of a super-packet, apart from each other, with room for a virtio-net header before each. */
function segments(input) {
  const slab = nativeSlab(ROOM);
  slab.bytes.set(input, 0);
  const segmenter = new Segmenter();
  segmenter.begin(slab, 0, LENGTH);
  const bytes = new Uint8Array(ROOM);
  const packets = [];
  for (let at = VIRTIO_HEADER; segmenter.next(); at += VIRTIO_HEADER) {
    at = (at + 15) & -16;
    bytes.set(slab.bytes.subarray(segmenter.offset, segmenter.offset + segmenter.length), at);
    packets.push([at, segmenter.length]);
    at += segmenter.length;
  }
  return { bytes, packets };
}
