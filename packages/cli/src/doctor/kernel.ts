import { isWirestreamError } from '@wirestream/core/device/errors';
import { note, ok, problem, type Finding } from './finding.js';
import type { Native, System } from './system.js';

/** What the linux driver and the network set-up find in the kernel. */

/** What the engine asks for as a TUN's offload; without the last two, UDP goes one by one. */
const TCP_OFFLOAD = ['CSUM', 'TSO4', 'TSO6'];
const UDP_OFFLOAD = ['USO4', 'USO6'];
/** Below this, bytes, a burst of datagrams overflows a socket's buffer before it is read: about 5 ms at 1 Gbit/s. */
const BUFFER_MIN = 1024 * 1024;

export function tunFindings(native: Native, required: boolean): Finding[] {
  try {
    const { flags } = native.tunAbilities();
    const has = (wanted: string[]): boolean => wanted.every((flag) => flags.includes(flag));
    const details = { flags };
    const all = flags.join(', ');
    if (!has(TCP_OFFLOAD)) {
      const says = `TUN offload: the kernel takes ${flags.length === 0 ? 'none of it' : `only ${all}`}; packets go one by one, which is slower`;
      return [ok('tun', 'a TUN interface can be made'), note('offload', says, undefined, details)];
    }
    const udp = has(UDP_OFFLOAD) ? '' : '; not for UDP, which takes Linux 6.2';
    return [ok('tun', 'a TUN interface can be made'), ok('offload', `TUN offload: ${all}${udp}`, details)];
  } catch (error) {
    const says = `no TUN interface can be made: ${error instanceof Error ? error.message : String(error)}`;
    const hint = isWirestreamError(error) ? error.hint : undefined;
    return [required ? problem('tun', says, hint) : note('tun', says, hint)];
  }
}

export function udpFinding(native: Native): Finding {
  try {
    const { segmentation, coalescing } = native.udpAbilities();
    const details = { gso: segmentation, gro: coalescing };
    if (segmentation && coalescing)
      return ok('udp', 'UDP: rows of datagrams go out and come in with one call (GSO, GRO)', details);
    const missing = [...(segmentation ? [] : ['GSO']), ...(coalescing ? [] : ['GRO'])].join(' and ');
    return note(
      'udp',
      `UDP: this kernel has no ${missing}; tunnels over UDP are slower`,
      'Linux 5.0 has both',
      details,
    );
  } catch (error) {
    return problem('udp', `UDP: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function ipv6Finding(native: Native): Finding {
  const obstacle = native.ipv6Obstacle();
  return obstacle === null
    ? ok('ipv6', 'IPv6 is there')
    : note(
        'ipv6',
        `IPv6 is off (${obstacle}): IPv4 only`,
        'sysctl net.ipv6.conf.all.disable_ipv6 net.ipv6.conf.lo.disable_ipv6',
      );
}

/** The kernel's own WireGuard does not get in the way; `wg` shows its interfaces and ours side by side. */
export function kernelWireguardFinding(system: System): Finding {
  const loaded = system.exists('/sys/module/wireguard');
  return ok('kernel-wireguard', `the kernel's own WireGuard is ${loaded ? 'loaded' : 'not loaded'}; it is not needed`, {
    loaded,
  });
}

/** How large buffers an ordinary process may have; the linux driver sets its own, with the privileges that it needs anyway. */
export function bufferFinding(system: System, driver: string): Finding {
  const size = (name: string): number => Number(system.read(`/proc/sys/net/core/${name}`) ?? NaN);
  const [rmem, wmem] = [size('rmem_max'), size('wmem_max')];
  const details = { rmem_max: rmem, wmem_max: wmem };
  if (Number.isNaN(rmem) || Number.isNaN(wmem))
    return ok('buffers', 'socket buffers: the system does not say its limits');
  const limits = `rmem_max ${rmem}, wmem_max ${wmem} bytes`;
  if (driver === 'linux')
    return ok('buffers', `socket buffers: ${limits}; as root a tunnel sets what it needs`, details);
  if (rmem >= BUFFER_MIN && wmem >= BUFFER_MIN) return ok('buffers', `socket buffers: ${limits}`, details);
  const hint = `sysctl -w net.core.rmem_max=${4 * BUFFER_MIN} net.core.wmem_max=${4 * BUFFER_MIN}`;
  return note('buffers', `socket buffers: ${limits}; tunnels over UDP lose packets at high speed`, hint, details);
}
