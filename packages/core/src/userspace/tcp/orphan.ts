import type { NativeStream } from '../native.js';

/** Stands in for a native side that is gone. */
export class Orphan implements NativeStream {
  constructor(private readonly unwanted: () => void) {}

  write(): void {
    this.unwanted();
  }

  end(): void {}
  reset(): void {}
  close(): void {}
  pause(): void {}
  resume(): void {}
  established(): void {}
  failed(): void {}
}
