// A global looked up in a hot loop is slow in the contexts that tests run in, and simulated runs go through here by the million.
const { max } = Math;

/** Something that will happen. */
export interface Event {
  readonly at: number;
  /** of several at one time, lower ranks come first, then what was put in first */
  readonly rank: number;
  readonly order: number;
  action: (() => void) | null;
}

/**
 * The simulation's time: a queue of events, and a clock that jumps from one to the next. Nothing waits, so a simulated hour costs
 * what happens in it.
 */
export class Clock {
  /** ms */
  now = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  /** Has `action` called at a time (now, if that is past). */
  at(time: number, action: () => void, rank = 0): Event {
    const event: Event = { at: max(time, this.now), rank, order: this.#order++, action };
    this.#push(event);
    return event;
  }

  after(delay: number, action: () => void): Event {
    return this.at(this.now + delay, action);
  }

  cancel(event: Event | null): void {
    if (event !== null) event.action = null;
  }

  /** Lets everything happen up to and including `time`. */
  runUntil(time: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= time) this.#step();
    this.now = max(this.now, time);
  }

  /** Lets things happen until `done` says so. @returns whether it did before `time` */
  runUntilDone(time: number, done: () => boolean): boolean {
    while (!done()) {
      if (this.#heap.length === 0 || this.#heap[0]!.at > time) {
        this.now = max(this.now, time);
        return false;
      }
      this.#step();
    }
    return true;
  }

  #step(): void {
    const event = this.#pop();
    if (event.action === null) return;
    this.now = event.at;
    const { action } = event;
    event.action = null;
    action();
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!before(event, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): Event {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && before(heap[below + 1]!, heap[below]!)) below++;
      if (!before(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Event, b: Event): boolean {
  if (a.at !== b.at) return a.at < b.at;
  if (a.rank !== b.rank) return a.rank < b.rank;
  return a.order < b.order;
}
