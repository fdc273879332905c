import type { Clock } from './clock.js';
import { Lane, LANE_OPTIONS, type LaneOptions } from './lane.js';
import { Machine } from './machine.js';
import type { Rng } from './rng.js';
import type { Socket } from './socket.js';

/** The machines, and a lane for each direction between two of them. */
export class Network {
  readonly machines: Machine[] = [];
  readonly #lastAt = new Map<string, Machine>();
  readonly #lanes = new Map<Machine, Map<Machine, Lane>>();

  constructor(
    readonly clock: Clock,
    private readonly rng: Rng,
    /** of lanes that nothing else was said about */
    public options: LaneOptions = LANE_OPTIONS,
  ) {}

  machine(address: string): Machine {
    const machine = new Machine(this, address);
    this.machines.push(machine);
    return machine;
  }

  /** Whoever packets to an address reach. */
  machineAt(address: string): Machine | null {
    const last = this.#lastAt.get(address);
    // Machines move: where one was found before is where to look first.
    if (last !== undefined && (last.behind ?? last.address) === address) return last;
    const machine = this.machines.find((m) => (m.behind ?? m.address) === address) ?? null;
    if (machine !== null) this.#lastAt.set(address, machine);
    return machine;
  }

  lane(from: Machine, to: Machine): Lane {
    let lanes = this.#lanes.get(from);
    if (lanes === undefined) this.#lanes.set(from, (lanes = new Map<Machine, Lane>()));
    let lane = lanes.get(to);
    if (lane === undefined) lanes.set(to, (lane = new Lane(this.clock, this.rng.fork(), this.options)));
    return lane;
  }

  /** All lanes that exist. */
  *lanes(): Iterable<Lane> {
    for (const lanes of this.#lanes.values()) yield* lanes.values();
  }

  /** What becomes of a segment of this socket's: `unknown` means that it is answered with a reset. */
  fate(from: Socket): 'arrives' | 'vanish' | 'unknown' {
    const routed = this.routed(from);
    return routed === 'arrives' && from.other.isDead ? 'unknown' : routed;
  }

  /** As `fate`, but only as far as the other machine. */
  routed(from: Socket): 'arrives' | 'vanish' | 'unknown' {
    const to = from.other;
    if (!from.machine.isUp || from.local.address !== from.machine.address) return 'vanish';
    if (!to.machine.isUp || to.local.address !== to.machine.address) return 'vanish';
    const dialler = from.dialled ? from : to;
    if (dialler.translation === dialler.machine.translation) return 'arrives';
    // Through a new translation it comes from a port that nobody knows; to the old one nothing gets in.
    return from === dialler ? 'unknown' : 'vanish';
  }
}
