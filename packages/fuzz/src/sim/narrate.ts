import { formatEndpoint } from '@wirestream/core/address/endpoint';
import type { Host } from '@wirestream/core/sim/host';
import type { World } from '@wirestream/core/sim/world';

/** Tells a run as it happens: for each turn of a host in which something changed, what its links to each peer are now. */
export function narrate(world: World, out: (line: string) => void): void {
  const start = world.now;
  const told = new WeakMap<object, string>();
  const watch = (host: Host) => {
    const { observe } = host;
    let dials = 0;
    host.observe = () => {
      const time = (world.now - start).toFixed(1).padStart(10);
      for (const dial of host.dials.slice(dials)) out(`${time} ${host.options.name} dials ${formatEndpoint(dial)}`);
      dials = host.dials.length;
      world.hosts.forEach((_, i) => {
        const peer = host === world.hosts[i] ? undefined : world.peer(world.hosts.indexOf(host), i);
        if (peer === undefined) return;
        const line = describe(peer.links.all, peer.links.active, host.device.pending.size, peer.staged.length);
        const keys = `${peer.handshake.state}, ${peer.keypairs.current === null ? 'no keys' : 'keys'}`;
        if (told.get(peer) === line + keys) return;
        told.set(peer, line + keys);
        out(`${time} ${host.options.name} to ${i}: ${line}; handshake ${keys}`);
      });
      observe(host);
    };
  };
  for (const host of world.hosts) watch(host);
  world.onStart = watch;
}

interface Told {
  readonly id: number;
  readonly direction: string;
  readonly state: string;
}

function describe(all: readonly Told[], active: Told | null, pending: number, staged: number): string {
  const connections = all.map((c) => `${c === active ? '*' : ''}#${c.id} ${c.direction} ${c.state}`);
  return [
    connections.length === 0 ? 'no connection' : connections.join(', '),
    ...(pending > 0 ? [`${pending} pending`] : []),
    ...(staged > 0 ? [`${staged} staged`] : []),
  ].join('; ');
}
