import type { Endpoint } from '../../src/address/endpoint.js';
import { configure } from '../../src/device/configure.js';
import { Device } from '../../src/device/device.js';
import type { Driver, PacketSink } from '../../src/device/driver.js';
import type { DeviceSettings } from '../../src/device/settings.js';
import { portableCrypto } from '../../src/noise/portable.js';
import { SlabPool } from '../../src/slab/pool.js';
import { Slab } from '../../src/slab/slab.js';
import type { Connection } from '../../src/stream/connection.js';
import { pairSettings } from './pair.js';

/** Two devices joined by lossless pipes that deliver at once: the least driver there can be. */
export class Host implements Driver {
  readonly slabs = new SlabPool(512 * 1024);
  readonly slab = Slab.plain(70_000);
  readonly received: Uint8Array[] = [];
  readonly datagrams = null;
  readonly inner: PacketSink;
  readonly device: Device;
  other!: Host;
  private readonly flushes: Connection[] = [];
  private readonly dials: Connection[] = [];
  private readonly ends = new Map<Connection, Connection>();

  constructor(readonly endpoint: Endpoint) {
    const slab = Slab.plain(70_000);
    this.inner = {
      slab,
      reserve: () => 0,
      commit: (offset: number, length: number) => {
        this.received.push(slab.bytes.slice(offset, offset + length));
      },
    };
    this.device = new Device(this, portableCrypto, { mtu: 1420 });
  }
  random(out: Uint8Array): void {
    globalThis.crypto.getRandomValues(out);
  }
  wallTime(): number {
    return 1_700_000_000_000 + now;
  }
  dial(connection: Connection): void {
    this.dials.push(connection);
  }
  flush(connection: Connection): void {
    this.flushes.push(connection);
  }
  shutdown(connection: Connection): void {
    this.close(connection);
  }
  close(connection: Connection): void {
    const end = this.ends.get(connection);
    this.ends.delete(connection);
    if (end !== undefined && this.other.ends.delete(end)) this.other.device.closed(now, end, 'eof');
  }
  /** Carries out what was asked for. @returns whether there was anything */
  step(): boolean {
    for (const connection of this.dials.splice(0)) {
      const accepted = this.other.device.accepted(now, this.other.endpoint, { ...this.endpoint, port: 40_000 });
      if (accepted === null) {
        this.device.closed(now, connection, 'refused');
        continue;
      }
      this.ends.set(connection, accepted);
      this.other.ends.set(accepted, connection);
      this.device.dialled(now, connection, { ...this.endpoint, port: 40_000 });
      return true;
    }
    for (const connection of this.flushes.splice(0)) {
      connection.flushRequested = false;
      while (this.ends.has(connection) && connection.outbox.peek(now)) {
        const { runOffset, runLength } = connection.outbox;
        const bytes = connection.outbox.slab.bytes.slice(runOffset, runOffset + runLength);
        this.device.written(now, connection, runLength);
        this.other.input(this.ends.get(connection)!, bytes);
      }
      return true;
    }
    return false;
  }
  input(connection: Connection, bytes: Uint8Array): void {
    const kept = connection.reader.restore(this.slab.bytes, 0);
    this.slab.bytes.set(bytes, kept);
    this.device.readable(now, connection, this.slab, 0, kept + bytes.length);
  }
}

/** ms; it stands still */
export const now = 1000;

/** Until nobody has anything to do. */
export const settle = (...hosts: Host[]) => {
  for (let i = 0; i < 1000 && hosts.some((host) => host.step()); i++);
};

/** @param change of each end's settings */
export function pair(change: (settings: DeviceSettings, end: 1 | 2) => DeviceSettings = (same) => same): [Host, Host] {
  const a = new Host({ family: 4, address: '192.0.2.1', port: 51820 });
  const b = new Host({ family: 4, address: '192.0.2.2', port: 51820 });
  a.other = b;
  b.other = a;
  configure(a.device, now, change(pairSettings(1, { endpoint: b.endpoint }), 1));
  configure(b.device, now, change(pairSettings(2), 2));
  return [a, b];
}
