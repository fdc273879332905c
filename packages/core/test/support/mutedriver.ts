import type { DatagramSink, Driver, PacketSink } from '../../src/device/driver.js';
import { SlabPool } from '../../src/slab/pool.js';
import { Slab } from '../../src/slab/slab.js';

const unused = (): void => undefined;

/** A driver without TCP: only what is sent over UDP goes anywhere. */
export function muteDriver(datagrams: DatagramSink, parts: Pick<Driver, 'random' | 'wallTime'>): Driver {
  const inner: PacketSink = { slab: Slab.plain(4096), reserve: () => 0, commit: unused };
  const slabs = new SlabPool(1 << 19);
  return { slabs, inner, datagrams, ...parts, dial: unused, flush: unused, shutdown: unused, close: unused };
}
