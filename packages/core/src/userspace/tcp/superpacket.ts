import { OFFLOAD_PLAINTEXT_MAX, SEGMENTS_MAX } from '../../offload/record.js';
import { TCP_CHECKSUM } from '../../offload/fields.js';
import { GSO_TCPV4, GSO_TCPV6, NEEDS_CSUM, VIRTIO_HEADER, VirtioHeader } from '../../offload/virtio.js';
import type { TcpFlow } from './flow.js';
import type { TcpFlows } from './flows.js';
import { headerLength, writeSegment } from './segment.js';

/**
 * Segments of one flow that follow each other, sent as one message (docs/offload-records.md). They have the size that they would have had by
 * themselves, so that whoever cuts them up sends what the tunnel's MTU and the flow's MSS allow. Nothing is summed here, and the other end, when it is one
 * without an interface, too, cuts nothing up.
 */

const virtio = new VirtioHeader();

/** Bytes of data that the next packet of a flow may carry, in segments of `segment` bytes each: a multiple of that. */
export function mostData(flow: TcpFlow, segment: number, headers: number): number {
  if (flow.path.takesSuper?.() !== true) return segment;
  const segments = Math.floor((OFFLOAD_PLAINTEXT_MAX - VIRTIO_HEADER - headers) / segment);
  return Math.min(Math.max(segments, 1), SEGMENTS_MAX) * segment;
}

/**
 * Sends [start, start + length) of what `flow` has to send with the headers that `flows.fields` say.
 * @param segment bytes of data per segment; less than `length`
 * @returns false when the path takes no super-packets after all, with nothing sent
 */
export function sendSuper(flows: TcpFlows, flow: TcpFlow, start: number, length: number, segment: number): boolean {
  const { fields, out } = flows;
  const { ip } = flow;
  const headers = ip.length + headerLength(fields);
  flow.outbound.copyPlain(out, VIRTIO_HEADER + headers, start, length);
  writeSegment(out.view, VIRTIO_HEADER, ip, fields, length, -1);
  virtio.flags = NEEDS_CSUM;
  virtio.gsoType = ip.family === 4 ? GSO_TCPV4 : GSO_TCPV6;
  virtio.hdrLen = headers;
  virtio.gsoSize = segment;
  virtio.csumStart = ip.length;
  virtio.csumOffset = TCP_CHECKSUM;
  virtio.write(out, 0);
  return flows.sendSuper(VIRTIO_HEADER + headers + length);
}
