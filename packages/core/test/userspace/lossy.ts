import { parseIp } from '../../src/address/ip.js';
import { FakeNative, OWN, PEER, World } from './world.js';

/** What the path between two stacks does to packets; probabilities per packet. */
export interface PathFaults {
  loss: number;
  duplication: number;
  /** of being delayed by up to `jitter` ms beyond the others */
  reordering: number;
  delay: number;
  jitter: number;
  /** packets that the path holds at a time; more are lost */
  queue: number;
}

/** What one native side does, in order; each step happens when the one before is done. */
export type Step = { do: 'write'; bytes: number } | { do: 'end' } | { do: 'reset' } | { do: 'wait'; ms: number };

export interface SideScript {
  steps: Step[];
  /** confirms what was written to it after this, ms; 0 at once */
  slowness: number;
}

type Supers = 'cut' | 'whole' | 'refused' | undefined;

interface Side {
  world: World;
  native: FakeNative | null;
  script: SideScript;
  step: number;
  readyAt: number;
  /** bytes of its stream that it has given to the stack */
  written: number;
  ended: boolean;
}

/** Numbers that depend on a seed alone (xorshift32). */
export function generator(seed: number): () => number {
  let x = (seed | 0) === 0 ? 1 : seed | 0;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

/** The byte at an offset of the stream that side 0 or 1 sends. */
export function streamByte(side: number, offset: number): number {
  return (offset * 7 + (offset >> 9) * 13 + side * 101) & 255;
}

/** Two stacks, a path between them that loses, repeats and reorders, and one flow from the first to the second. */
export class LossyPair {
  readonly sides: [Side, Side];
  now = 1_000;
  packets = 0;
  #inPath: { at: number; to: 0 | 1; packet: Uint8Array }[] = [];
  readonly #random: () => number;

  constructor(
    private readonly faults: PathFaults,
    scripts: [SideScript, SideScript],
    seed: number,
    /** how each side's super-packets travel; undefined: it sends none */
    supers: readonly [Supers, Supers] = [undefined, undefined],
  ) {
    this.#random = generator(seed);
    const world = (address: number[], own: Supers) =>
      new World({
        ...(own === undefined ? {} : { supers: own }),
        addresses: [Uint8Array.from(address), parseIp('fd00::1')!],
        random: (out) => out.forEach((_, i) => (out[i] = this.#random() * 256)),
      });
    const side = (address: number[], script: SideScript, own: Supers): Side => ({
      world: world(address, own),
      native: null,
      script,
      step: 0,
      readyAt: 0,
      written: 0,
      ended: false,
    });
    this.sides = [side(PEER, scripts[0], supers[0]), side(OWN, scripts[1], supers[1])];
  }

  /** Opens the flow and lets everything happen until nothing more does, or `limit` ms have passed. */
  run(limit: number): void {
    const [first] = this.sides;
    first.native = new FakeNative();
    first.native.paused = true;
    first.world.now = this.now;
    first.world.turn((now) => {
      first.native!.flow = first.world.stack.tcp.connect(now, b(PEER), b(OWN), 80, first.native!) as never;
    });
    const end = this.now + limit;
    for (let turns = 0; this.now < end; turns++) {
      if (turns > 200_000) throw new Error('it never comes to rest');
      for (const index of [0, 1] as const) this.#act(index);
      const at = this.#next();
      if (at > end) break;
      this.now = Math.max(this.now, at);
      for (const { world } of this.sides) world.now = this.now;
      this.#deliver();
      for (const { world } of this.sides) world.turn();
    }
  }

  #next(): number {
    let at = Infinity;
    for (const side of this.sides) {
      at = Math.min(at, side.world.stack.nextWakeAt(this.now));
      if (side.native !== null && side.readyAt > this.now) {
        at = Math.min(at, side.readyAt);
      }
      if (side.native !== null && side.native.writtenBytes > side.native.confirmed && !this.#isOver(side.native)) {
        at = Math.min(at, this.now + side.script.slowness);
      }
    }
    for (const packet of this.#inPath) at = Math.min(at, packet.at);
    return at;
  }

  #act(index: 0 | 1): void {
    const side = this.sides[index];
    const { world } = side;
    world.now = this.now;
    if (index === 1 && side.native === null && world.natives.length > 0) {
      side.native = world.natives[0]!;
      world.turn((now) => world.stack.tcp.connected(now, side.native!.flow!));
    }
    const { native } = side;
    if (native !== null && native.writtenBytes > native.confirmed && !this.#isOver(native)) {
      if (side.script.slowness === 0 || this.#random() < 0.5)
        world.confirm(native, Math.ceil((native.writtenBytes - native.confirmed) * this.#random()));
    }
    if (native !== null && native.calls.includes('established')) this.#steps(index, side, native);
    this.#collect(index);
  }

  #steps(index: number, side: Side, native: FakeNative): void {
    const { world, script } = side;
    while (side.step < script.steps.length && this.now >= side.readyAt && !this.#isOver(native)) {
      const step = script.steps[side.step]!;
      if (step.do === 'write') {
        if (native.paused) return;
        const from = side.written;
        side.written += step.bytes;
        const bytes = Uint8Array.from({ length: step.bytes }, (_, i) => streamByte(index, from + i));
        world.turn((now) => world.stack.tcp.data(now, native.flow!, bytes));
      } else if (step.do === 'wait') side.readyAt = this.now + step.ms;
      else if (step.do === 'end') {
        side.ended = true;
        world.turn((now) => world.stack.tcp.eof(now, native.flow!));
      } else {
        native.calls.push('broke');
        world.turn(() => world.stack.tcp.broken(native.flow!));
      }
      side.step++;
    }
  }

  #isOver(native: FakeNative): boolean {
    return native.calls.some(
      (call) => call === 'reset' || call === 'close' || call === 'broke' || call.startsWith('failed'),
    );
  }

  #collect(from: 0 | 1): void {
    const { loss, duplication, reordering, delay, jitter, queue } = this.faults;
    for (const packet of this.sides[from].world.out.splice(0)) {
      this.packets++;
      if (this.#random() < loss || this.#inPath.length >= queue) continue;
      const copies = this.#random() < duplication ? 2 : 1;
      for (let n = 0; n < copies; n++) {
        const late = this.#random() < reordering ? this.#random() * jitter : 0;
        this.#inPath.push({ at: this.now + delay + late, to: from === 0 ? 1 : 0, packet });
      }
    }
  }

  #deliver(): void {
    const due = this.#inPath.filter(({ at }) => at <= this.now).sort((x, y) => x.at - y.at);
    this.#inPath = this.#inPath.filter(({ at }) => at > this.now);
    for (const { to, packet } of due) this.sides[to].world.receive(packet);
  }
}

function b(address: number[]): Uint8Array {
  return Uint8Array.from(address);
}
