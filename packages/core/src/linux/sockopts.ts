import { checked, close } from './syscalls.js';
import { libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';

/** Socket options and the calls around them; control paths only. Numbers are those of asm-generic, which x86-64, arm64, RISC-V and LoongArch share. */

/** asm-generic/socket.h */
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_LINGER = 13;
const SO_MARK = 36;
const SO_RCVBUFFORCE = 33;
const SO_SNDBUFFORCE = 32;
/** linux/in.h, linux/in6.h, linux/tcp.h, linux/udp.h: levels and names */
const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;
const IPPROTO_UDP = 17;
const TCP_NODELAY = 1;
const TCP_INFO = 11;
const TCP_USER_TIMEOUT = 18;
const TCP_NOTSENT_LOWAT = 25;
const UDP_GRO = 104;
const IP_PKTINFO = 8;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;

/** Answer and argument room for the calls below: none of them is re-entered. */
const scratch = nativeSlab(4096);

/** Sets a 32-bit option. @returns 0 or the negative error number */
export function setOption(fd: number, level: number, name: number, value: number): number {
  scratch.view.setInt32(0, value | 0, true);
  return checked(libc.setsockopt(fd, level, name, scratch.at(0, 4), 4));
}

/** @returns the bytes that the kernel filled in at the scratch slab's start, or the negative error number */
function getOption(fd: number, level: number, name: number, room: number): number {
  scratch.bytes.fill(0, 8, 8 + room);
  scratch.view.setUint32(0, room, true);
  const result = checked(libc.getsockopt(fd, level, name, scratch.at(8, room), scratch.at(0, 4)));
  return result < 0 ? result : scratch.view.getUint32(0, true);
}

export const reuseAddress = (fd: number): number => setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
export const v6Only = (fd: number): number => setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
/** Firewall mark, 32 bits unsigned; needs CAP_NET_ADMIN. */
export const setMark = (fd: number, mark: number): number => setOption(fd, SOL_SOCKET, SO_MARK, mark);
export const noDelay = (fd: number): number => setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
/** How long sent data may stay unacknowledged before the connection is given up, ms (RFC 5482). */
export const userTimeout = (fd: number, ms: number): number => setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
/** Write space is reported only while fewer unsent bytes than this wait in the socket's buffer. */
export const notSentLowat = (fd: number, bytes: number): number => setOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
/** Report the address (and interface) that each datagram was sent to. */
export const packetInfo = (fd: number, family: 4 | 6): number =>
  family === 4 ? setOption(fd, IPPROTO_IP, IP_PKTINFO, 1) : setOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);

/** Hand out datagrams of one sender that came in a row together, up to 64 KiB of them (UDP_GRO, Linux 5.0). */
export const receiveTogether = (fd: number, on: boolean): number => setOption(fd, IPPROTO_UDP, UDP_GRO, on ? 1 : 0);

/** Makes `close` send RST and forget what is in the socket's buffer (struct linger: on, 0 s). */
export function resetOnClose(fd: number): number {
  scratch.view.setInt32(0, 1, true);
  scratch.view.setInt32(4, 0, true);
  return checked(libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, scratch.at(0, 8), 8));
}

/** Buffer sizes, bytes: past the system's limit where privileges allow, else as far as it lets. */
export function setBuffers(fd: number, receive: number, transmit: number): void {
  if (setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive) < 0) setOption(fd, SOL_SOCKET, SO_RCVBUF, receive);
  if (setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, transmit) < 0) setOption(fd, SOL_SOCKET, SO_SNDBUF, transmit);
}

/** The error that a socket keeps for whoever asks, which clears it: a positive error number, or 0. */
export function pendingError(fd: number): number {
  const n = getOption(fd, SOL_SOCKET, SO_ERROR, 4);
  return n < 0 ? -n : scratch.view.getInt32(8, true);
}

/** A descriptor in use, or its error thrown away together with it: for set-up in several steps that each may fail. */
export function orClose(fd: number, ...steps: (() => number)[]): number {
  for (const step of steps) {
    const result = step();
    if (result < 0) {
      close(fd);
      return result;
    }
  }
  return fd;
}

/** What the kernel knows of a connection; the start of struct tcp_info (linux/tcp.h). */
export interface TcpInfo {
  /** TCP_ESTABLISHED is 1 (net/tcp_states.h) */
  readonly state: number;
  /** consecutive retransmission time-outs */
  readonly retransmits: number;
  /** smoothed round-trip time and its variation, µs */
  readonly rttUs: number;
  readonly rttVarUs: number;
  /** bytes of one outgoing segment */
  readonly sendMss: number;
  /** congestion window, segments */
  readonly congestionWindow: number;
  /** segments sent and not yet acknowledged */
  readonly unacked: number;
  readonly lost: number;
  readonly pathMtu: number;
  readonly totalRetransmits: number;
  /** bytes in the buffer that have not been sent at all */
  readonly notSentBytes: number;
  /** the least round-trip time of the last minutes, µs */
  readonly minRttUs: number;
}

export function tcpInfo(fd: number): TcpInfo | null {
  // 152 bytes reach as far as tcpi_min_rtt (Linux 4.6).
  if (getOption(fd, IPPROTO_TCP, TCP_INFO, 152) < 104) return null;
  const u32 = (offset: number): number => scratch.view.getUint32(8 + offset, true);
  return {
    state: scratch.bytes[8]!,
    retransmits: scratch.bytes[8 + 2]!,
    sendMss: u32(16),
    unacked: u32(24),
    lost: u32(32),
    pathMtu: u32(60),
    rttUs: u32(68),
    rttVarUs: u32(72),
    congestionWindow: u32(80),
    totalRetransmits: u32(100),
    notSentBytes: u32(144),
    minRttUs: u32(148),
  };
}
