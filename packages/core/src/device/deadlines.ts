/** Something that wants to be called at a time. The two fields belong to `Deadlines`. */
export interface Scheduled {
  /** ms; Infinity for never */
  deadline: number;
  /** place in the heap, -1 when not in it */
  heapIndex: number;
}

/** A binary min-heap of things by deadline, in which each knows its place, so that moving one costs O(log n). */
export class Deadlines<T extends Scheduled> {
  readonly #heap: T[] = [];

  /** The earliest, or undefined. */
  get first(): T | undefined {
    return this.#heap[0];
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Sets when an item wants to be called; Infinity takes it out. */
  set(item: T, deadline: number): void {
    if (item.deadline === deadline && item.heapIndex >= 0 === (deadline !== Infinity)) return;
    item.deadline = deadline;
    if (deadline === Infinity) return this.remove(item);
    if (item.heapIndex < 0) {
      item.heapIndex = this.#heap.length;
      this.#heap.push(item);
    }
    this.#up(item);
    this.#down(item);
  }

  remove(item: T): void {
    item.deadline = Infinity;
    const at = item.heapIndex;
    if (at < 0) return;
    item.heapIndex = -1;
    const last = this.#heap.pop()!;
    if (last === item) return;
    this.#heap[at] = last;
    last.heapIndex = at;
    this.#up(last);
    this.#down(last);
  }

  #up(item: T): void {
    let at = item.heapIndex;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (this.#heap[above]!.deadline <= item.deadline) break;
      this.#place(this.#heap[above]!, at);
      at = above;
    }
    this.#place(item, at);
  }

  #down(item: T): void {
    let at = item.heapIndex;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= this.#heap.length) break;
      if (below + 1 < this.#heap.length && this.#heap[below + 1]!.deadline < this.#heap[below]!.deadline) below++;
      if (this.#heap[below]!.deadline >= item.deadline) break;
      this.#place(this.#heap[below]!, at);
      at = below;
    }
    this.#place(item, at);
  }

  #place(item: T, at: number): void {
    this.#heap[at] = item;
    item.heapIndex = at;
  }
}
