import { WirestreamError } from '../device/errors.js';
import { EACCES, EBADFD, EBUSY, EINVAL, EIO, ENODEV, ENOENT, EPERM, errnoName } from './errno.js';
import { libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { checked, close } from './syscalls.js';

/**
 * The TUN device: a network interface whose packets this process reads and writes.
 *
 * Theory of operation. Each read brings one IP packet and each write delivers one, without a link header (IFF_NO_PI).
 * With offload, a virtio-net header of 10 bytes stands in front (IFF_VNET_HDR), and a "packet" may be up to 64 KiB that
 * still is to be cut into segments, or was put together from some; `offload/` does both. The interface lives as long as
 * its descriptor does, unless someone made it persistent; its addresses and routes go with it. When somebody else deletes it,
 * reads and writes fail with EBADFD from then on (`tunGone`).
 *
 * Sources: linux/if_tun.h, Documentation/networking/tuntap.rst.
 */
export interface Tun {
  readonly fd: number;
  /** the kernel's name of the interface: what was asked for, with %d filled in */
  readonly name: string;
  /** whether each packet has a virtio-net header in front of it, both ways */
  readonly vnetHeader: boolean;
  /** what the kernel may leave to us on packets that we read, and takes from us on packets that we write */
  readonly offload: TunOffload;
}

export interface TunOffload {
  /** packets may lack their TCP or UDP checksum, and be TCP super-packets */
  readonly tcp: boolean;
  /** packets may be UDP super-packets (Linux 6.2) */
  readonly udp: boolean;
}

export interface TunOptions {
  /** at most 15 bytes; a `%d` is replaced by the first free number */
  readonly name: string;
  /** ask for offload; the kernel may refuse */
  readonly offload: boolean;
  /** a descriptor of a TUN that someone else opened, instead of opening /dev/net/tun (WG_TUN_FD) */
  readonly fd?: number;
}

const DEVICE = '/dev/net/tun';
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_GETFL = 3;
const F_SETFL = 4;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** struct ifreq: 16 bytes of name, then for these requests 16 bits of flags; 40 bytes in all */
const IFNAMSIZ = 16;
const IFREQ = 40;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/** Bytes of the virtio-net header without mergeable buffers (virtio 1.2, §5.1.6): what a TUN has by default. */
export const VNET_HEADER = 10;

const scratch = nativeSlab(4096);

/** Whether the kernel would take this as an interface's name (net/core/dev.c dev_valid_name). */
export function isInterfaceName(name: string): boolean {
  // eslint-disable-next-line no-control-regex
  return /^[^\s/:\x00-\x1f\x7f-\uffff]{1,15}$/.test(name) && name !== '.' && name !== '..';
}

/**
 * Creates the interface, or attaches to one that exists and is free (made with `ip tuntap add`, which needs no
 * privileges if its owner is this user).
 * @throws WirestreamError tun-name, tun-missing, tun-forbidden, tun-busy, tun-not-a-tun, tun-failed
 */
export function openTun(options: TunOptions): Tun {
  if (options.fd !== undefined) return adoptTun(options.fd, options.offload);
  if (!isInterfaceName(options.name)) {
    throw new WirestreamError(
      'tun-name',
      `not an interface name: ${JSON.stringify(options.name)}`,
      'use 1 to 15 letters, digits and _=+.- characters',
    );
  }
  const fd = checked(libc.open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0));
  if (fd < 0) throw openError(-fd);
  let vnetHeader = options.offload;
  let result = setInterface(fd, options.name, vnetHeader);
  if (result === -EINVAL && vnetHeader) {
    // A device that was made without the header, or a kernel without it: the plain form is always there.
    vnetHeader = false;
    result = setInterface(fd, options.name, false);
  }
  if (result < 0) {
    close(fd);
    throw attachError(-result, options.name);
  }
  return finish(fd, vnetHeader);
}

/** Whether an error of a read or write says that the interface is gone or was never set up. @param error negative */
export function tunGone(error: number): boolean {
  return error === -EBADFD || error === -ENODEV;
}

/** Whether it says that the interface is there but down (writes only): the packet is lost, the tunnel is not. */
export function tunDown(error: number): boolean {
  return error === -EIO;
}

function setInterface(fd: number, name: string, vnetHeader: boolean): number {
  scratch.bytes.fill(0, 0, IFREQ);
  scratch.bytes.set(Buffer.from(name, 'latin1'), 0);
  scratch.view.setUint16(IFNAMSIZ, IFF_TUN | IFF_NO_PI | (vnetHeader ? IFF_VNET_HDR : 0), true);
  return checked(libc.ioctl(fd, TUNSETIFF, scratch.at(0, IFREQ)));
}

/** Takes over a descriptor on which TUNSETIFF was done already. */
function adoptTun(fd: number, offload: boolean): Tun {
  scratch.bytes.fill(0, 0, IFREQ);
  const result = checked(libc.ioctl(fd, TUNGETIFF, scratch.at(0, IFREQ)));
  const flags = result < 0 ? 0 : scratch.view.getUint16(IFNAMSIZ, true);
  if ((flags & IFF_TUN) === 0 || (flags & IFF_NO_PI) === 0) {
    throw new WirestreamError(
      'tun-not-a-tun',
      `descriptor ${fd} is not a TUN device without packet information`,
      'open it with IFF_TUN and IFF_NO_PI, or leave WG_TUN_FD unset',
    );
  }
  const status = checked(libc.fcntl(fd, F_GETFL, 0));
  if (status >= 0) libc.fcntl(fd, F_SETFL, status | O_NONBLOCK);
  libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
  return finish(fd, (flags & IFF_VNET_HDR) !== 0, offload);
}

/** Sets the header's size and asks for offload, from all of it down to none. */
function finish(fd: number, vnetHeader: boolean, offload = vnetHeader): Tun {
  let tcp = false;
  let udp = false;
  if (vnetHeader) {
    scratch.view.setInt32(0, VNET_HEADER, true);
    checked(libc.ioctl(fd, TUNSETVNETHDRSZ, scratch.at(0, 4)));
    const base = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if (offload) {
      udp = libc.ioctl(fd, TUNSETOFFLOAD, base | TUN_F_USO4 | TUN_F_USO6) >= 0;
      tcp = udp || libc.ioctl(fd, TUNSETOFFLOAD, base) >= 0;
    }
    if (!tcp) libc.ioctl(fd, TUNSETOFFLOAD, 0);
  }
  return { fd, name: interfaceName(fd), vnetHeader, offload: { tcp, udp } };
}

/** The interface's name now; empty when it is gone. */
export function interfaceName(fd: number): string {
  scratch.bytes.fill(0, 0, IFREQ);
  checked(libc.ioctl(fd, TUNGETIFF, scratch.at(0, IFREQ)));
  const end = scratch.bytes.indexOf(0);
  return Buffer.from(scratch.bytes.subarray(0, Math.min(end, IFNAMSIZ))).toString('latin1');
}

function openError(error: number): WirestreamError {
  switch (error) {
    case ENOENT:
    case ENODEV:
      return new WirestreamError(
        'tun-missing',
        `there is no TUN device here: ${DEVICE} is missing`,
        'load the module with: modprobe tun; in a container, pass the device in with: --device /dev/net/tun',
      );
    case EPERM:
    case EACCES:
      return forbidden(`may not open ${DEVICE}`);
    default:
      return new WirestreamError('tun-failed', `cannot open ${DEVICE}: ${errnoName(error)}`);
  }
}

function attachError(error: number, name: string): WirestreamError {
  switch (error) {
    case EPERM:
    case EACCES:
      return forbidden(`may not create the interface ${name}`);
    case EBUSY:
      return new WirestreamError(
        'tun-busy',
        `the interface ${name} is in use by another process`,
        `take it down first: wirestream down ${name}`,
      );
    case EINVAL:
      return new WirestreamError(
        'tun-not-a-tun',
        `there is an interface ${name} already, and it is not a TUN device`,
        `choose another name, or remove it with: ip link delete ${name}`,
      );
    default:
      return new WirestreamError('tun-failed', `cannot create the interface ${name}: ${errnoName(error)}`);
  }
}

function forbidden(message: string): WirestreamError {
  return new WirestreamError(
    'tun-forbidden',
    message,
    'run as root or with CAP_NET_ADMIN, or make the device once with: ip tuntap add mode tun user $USER name NAME',
  );
}
