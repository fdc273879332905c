import type { Endpoint } from '../address/endpoint.js';
import { parseIp } from '../address/ip.js';
import { libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { familyOf } from './sockaddr.js';
import { checked, close, recv, send } from './syscalls.js';

/**
 * Asks the kernel's routing tables by which interface something would leave (rtnetlink(7), RTM_GETROUTE): what a socket cannot tell of
 * itself, and what decides whether an address that a peer once spoke to is still the right one to answer from.
 */

/** linux/netlink.h, linux/rtnetlink.h, bits/socket.h */
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const NLM_F_REQUEST = 1;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_MARK = 16;
/** struct nlmsghdr, struct rtmsg, struct rtattr */
const MESSAGE_HEADER = 16;
const ROUTE_HEADER = 12;
const ATTRIBUTE_HEADER = 4;

const scratch = nativeSlab(4096);

/**
 * The index of the interface by which a packet with that mark leaves for `remote` when it comes from `source` (4 or 16 bytes);
 * 0 when there is no way, or the source is none of our addresses.
 */
export function interfaceTowards(remote: Endpoint, source: Uint8Array, mark: number): number {
  const fd = checked(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (fd < 0) return 0;
  const length = writeQuestion(remote, source, mark);
  // The answer is there when send() returns: rtnetlink works in the caller's own time.
  const got = send(fd, scratch, 0, length) < 0 ? -1 : recv(fd, scratch, 0, scratch.size);
  close(fd);
  return got < 0 ? 0 : readAnswer(got);
}

function writeQuestion(remote: Endpoint, source: Uint8Array, mark: number): number {
  const { view, bytes } = scratch;
  const bits = 8 * source.length;
  bytes.fill(0, 0, MESSAGE_HEADER + ROUTE_HEADER);
  view.setUint16(4, RTM_GETROUTE, true);
  view.setUint16(6, NLM_F_REQUEST, true);
  bytes.set([familyOf(remote), bits, bits], MESSAGE_HEADER);
  let at = MESSAGE_HEADER + ROUTE_HEADER;
  const attribute = (type: number, data: Uint8Array): void => {
    view.setUint16(at, ATTRIBUTE_HEADER + data.length, true);
    view.setUint16(at + 2, type, true);
    bytes.set(data, at + ATTRIBUTE_HEADER);
    at += ATTRIBUTE_HEADER + data.length;
  };
  attribute(RTA_DST, parseIp(remote.address)!);
  attribute(RTA_SRC, source);
  const word = (value: number) => Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
  if (mark !== 0) attribute(RTA_MARK, word(mark));
  if (remote.scope !== undefined) attribute(RTA_OIF, word(remote.scope));
  view.setUint32(0, at, true);
  return at;
}

function readAnswer(length: number): number {
  const { view } = scratch;
  if (length < MESSAGE_HEADER + ROUTE_HEADER || view.getUint16(4, true) !== RTM_NEWROUTE) return 0;
  const end = Math.min(length, view.getUint32(0, true));
  for (let at = MESSAGE_HEADER + ROUTE_HEADER; at + ATTRIBUTE_HEADER <= end;) {
    const size = view.getUint16(at, true);
    if (size < ATTRIBUTE_HEADER || at + size > end) return 0;
    if (view.getUint16(at + 2, true) === RTA_OIF && size >= ATTRIBUTE_HEADER + 4) {
      return view.getUint32(at + ATTRIBUTE_HEADER, true);
    }
    at += (size + 3) & ~3;
  }
  return 0;
}
