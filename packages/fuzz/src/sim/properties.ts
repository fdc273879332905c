/** The properties that simulated runs are held to, by the name that a violation of each carries, and where they are checked. */
export const PROPERTIES: Readonly<Record<string, string>> = {
  liveness: 'network healed and both ends up: a ping gets through and back within 60 s (run.ts)',
  convergence: 'both ends settle on one connection, the same one, and stay there (run.ts)',
  calm: 'once settled, no ping is lost (run.ts)',
  quiescence: 'without traffic everything comes to rest, and no timer is left (run.ts)',
  silence: 'whoever has not authenticated gets zero bytes (core/sim/stranger.ts)',
  'strangers go': 'and is disconnected in the end (run.ts)',
  'bounded strangers': 'little is kept of each of them, and of all of them (core/sim/invariants.ts)',
  'nothing invented': 'no packet is delivered that was not sent to that host (core/sim/world.ts)',
  'nothing twice': 'no packet is delivered twice (core/sim/world.ts)',
  'whole records': 'what a host writes into a connection is one whole record behind the other (core/sim/tap.ts)',
  'no record sent twice':
    'no data message is written twice, on whatever connection, not even in part (core/sim/tap.ts)',
  'one active carrier':
    'it is one of the peer’s connections, and there is one as soon as one authenticated (core/sim/invariants.ts)',
  'bounded connections': 'a peer has few connections at once (core/sim/invariants.ts)',
  ownership: 'each connection has one owner, and is gone for both or for neither (core/sim/invariants.ts)',
  'known port': 'only configured ports are dialled (core/sim/invariants.ts)',
  'driver contract': 'no call within a call, and none for a connection that is gone (core/sim/host.ts)',
  'wake gets on': 'a device that is woken does not want to be woken again for the same reason (core/sim/host.ts)',
  'nothing leaks': 'after close no connection, slab, index or timer is left (core/sim/host.ts)',
};
