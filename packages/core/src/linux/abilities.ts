import koffi from 'koffi';
import { errnoName } from './errno.js';
import { libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { setOption } from './sockopts.js';
import { checked, close } from './syscalls.js';
import { openTun } from './tun.js';

/** What this kernel can do for a tunnel, found out by asking it: for `wirestream doctor`, not for the way of a packet. */

/** linux/if_tun.h: what a TUN may leave to its reader. */
const TUN_FLAGS = { CSUM: 0x01, TSO4: 0x02, TSO6: 0x04, TSO_ECN: 0x08, USO4: 0x20, USO6: 0x40 } as const;
const TUNSETOFFLOAD = 0x400454d0;

/** sys/socket.h, linux/udp.h */
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;

export const koffiVersion: string = koffi.version;

export interface TunAbilities {
  /** names of the offload flags that the kernel takes, as in linux/if_tun.h after TUN_F_; empty without offload at all */
  readonly flags: readonly string[];
}

/**
 * Makes a TUN for a moment and asks for each kind of offload.
 * @throws WirestreamError as openTun
 */
export function tunAbilities(): TunAbilities {
  const { fd, vnetHeader } = openTun({ name: 'wsdoctor%d', offload: true });
  try {
    // No segmentation without checksums, ECN only with TCP, the two kinds of UDP only together (drivers/net/tun.c set_offload).
    const takes = (flags: number): boolean => vnetHeader && libc.ioctl(fd, TUNSETOFFLOAD, flags) >= 0;
    const { CSUM, TSO4, TSO_ECN, USO4, USO6 } = TUN_FLAGS;
    const companions = (flag: number): number =>
      flag === TSO_ECN ? TSO4 : flag === USO4 || flag === USO6 ? USO4 | USO6 : 0;
    const wanted = (flag: number): number => CSUM | flag | companions(flag);
    return {
      flags: Object.entries(TUN_FLAGS)
        .filter(([, flag]) => takes(wanted(flag)))
        .map(([name]) => name),
    };
  } finally {
    close(fd);
  }
}

export interface UdpAbilities {
  /** whether one call may send a row of datagrams of one size (Linux 4.18) */
  readonly segmentation: boolean;
  /** whether such a row can be received with one call (Linux 5.0) */
  readonly coalescing: boolean;
}

/** @throws Error when there are no UDP sockets */
export function udpAbilities(): UdpAbilities {
  const fd = checked(libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) throw new Error(`cannot open a UDP socket: ${errnoName(-fd)}`);
  try {
    // No segment size at all is set: the question is whether the option is known.
    const segmentation = setOption(fd, SOL_UDP, UDP_SEGMENT, 0) >= 0;
    return { segmentation, coalescing: setOption(fd, SOL_UDP, UDP_GRO, 1) >= 0 };
  } finally {
    close(fd);
  }
}

/** Why no IPv6 socket can be bound here; null when one can. */
export function ipv6Obstacle(): string | null {
  const fd = checked(libc.socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return errnoName(-fd);
  try {
    // struct sockaddr_in6 (linux/in6.h): family, then port, flow, address ::1 and scope.
    const scratch = nativeSlab(4096);
    scratch.view.setUint16(0, AF_INET6, true);
    scratch.bytes[23] = 1;
    const result = checked(libc.bind(fd, scratch.at(0, 28), 28));
    return result < 0 ? errnoName(-result) : null;
  } finally {
    close(fd);
  }
}
