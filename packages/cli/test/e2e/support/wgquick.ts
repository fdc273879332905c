import { writeFileSync } from 'node:fs';

/** What tests put into a wg-quick file; the names are the file's, in camel case. */
export interface FileInterface {
  readonly privateKey: string;
  readonly listenPort?: number;
  readonly address?: readonly string[];
  readonly mtu?: number;
  readonly fwMark?: number;
  readonly table?: string;
  readonly transport?: 'tcp' | 'udp' | 'auto';
  /** further lines as they are */
  readonly lines?: readonly string[];
}

export interface FilePeer {
  readonly publicKey: string;
  readonly presharedKey?: string | undefined;
  readonly allowedIPs: readonly string[];
  readonly endpoint?: string;
  readonly persistentKeepalive?: number;
  readonly transport?: 'tcp' | 'udp';
}

export function formatWgQuick(iface: FileInterface, peers: readonly FilePeer[]): string {
  const { lines = [], ...keys } = iface;
  const sections = [section('Interface', keys, lines), ...peers.map((peer) => section('Peer', peer))];
  return sections.join('\n');
}

export function writeWgQuick(path: string, iface: FileInterface, peers: readonly FilePeer[]): void {
  writeFileSync(path, formatWgQuick(iface, peers), { mode: 0o600 });
}

function section(name: string, keys: object, lines: readonly string[] = []): string {
  const entries = Object.entries(keys as Record<string, unknown>).filter(([, value]) => value !== undefined);
  const text = entries.map(([key, value]) => {
    const shown = Array.isArray(value) ? value.join(', ') : String(value);
    return `${key[0]!.toUpperCase()}${key.slice(1)} = ${shown}`;
  });
  return [`[${name}]`, ...text, ...lines, ''].join('\n');
}

/** An address and port as Endpoint has it. */
export function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
