import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { parsePrefix } from '@wirestream/core/address/ip';
import { parseKey } from '@wirestream/core/config/key';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { parseZonedEndpoint } from '@wirestream/core/uapi/endpoint';
import { interfaceIndex } from '../control/zones.js';

/** The kernel's own WireGuard interfaces. They have no socket; wg(8), which speaks generic netlink, reads them for us. */

/** Their names: the kernel marks them in sysfs (drivers/net/wireguard/device.c: device_type). */
export function kernelDevices(sysfs = '/sys/class/net'): string[] {
  return namesIn(sysfs).filter((name) => isKernelDevice(name, sysfs));
}

export function isKernelDevice(name: string, sysfs = '/sys/class/net'): boolean {
  try {
    return /^DEVTYPE=wireguard$/m.test(readFileSync(`${sysfs}/${name}/uevent`, 'utf8'));
  } catch {
    return false;
  }
}

/** @throws WirestreamError no-wg, device-unreadable */
export async function readKernelDevice(name: string, wg = 'wg'): Promise<DeviceSnapshot> {
  const text = await new Promise<string>((resolve, reject) => {
    execFile(wg, ['show', name, 'dump'], { maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const missing = error.code === 'ENOENT';
      reject(
        missing
          ? new WirestreamError(
              'no-wg',
              `${name} is the kernel's, and is read through wg(8)`,
              'install wireguard-tools',
            )
          : new WirestreamError('device-unreadable', stderr.trim().split('\n')[0] ?? error.message),
      );
    });
  });
  return parseDump(text);
}

/** What `wg show NAME dump` prints: a line of the device, and one of each peer, tab-separated. */
export function parseDump(text: string): DeviceSnapshot {
  const [first = '', ...peers] = text.trimEnd().split('\n');
  const [privateKey, publicKey, listenPort, fwmark] = first.split('\t');
  return {
    privateKey: keyOrNull(privateKey),
    publicKey: keyOrNull(publicKey),
    listenPort: Number(listenPort),
    fwmark: fwmark === 'off' ? 0 : Number(fwmark),
    transport: 'udp',
    peers: peers.map(parsePeer),
    pending: { size: 0, refusals: {} },
    drops: {},
  };
}

function parsePeer(line: string): PeerSnapshot {
  const [publicKey, psk, endpoint, ips, handshake, rx, tx, keepalive] = line.split('\t');
  const key = keyOrNull(publicKey);
  if (key === null) throw new WirestreamError('device-unreadable', `wg(8) printed a peer without a key: ${line}`);
  return {
    publicKey: key,
    presharedKey: keyOrNull(psk),
    endpoint: endpoint === undefined || endpoint === '(none)' ? null : parseZonedEndpoint(endpoint, interfaceIndex),
    allowedIps: ips === undefined || ips === '(none)' ? [] : ips.split(',').map((prefix) => parsePrefix(prefix)!),
    lastHandshake: Number(handshake) * 1000,
    rxBytes: Number(rx),
    txBytes: Number(tx),
    persistentKeepalive: keepalive === 'off' ? 0 : Number(keepalive),
    transport: 'udp',
    connections: [],
    drops: {},
  };
}

function keyOrNull(text: string | undefined): Uint8Array | null {
  return text === undefined || text === '(none)' ? null : parseKey(text);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
