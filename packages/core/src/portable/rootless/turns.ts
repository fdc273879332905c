import type { UserStack } from '../../userspace/stack.js';

/** How the native side's events reach the stack: each in a turn of the driver. */
export interface Turns {
  readonly stack: UserStack;
  /** whether everything is being closed: connections then end without an error */
  readonly isStopping: boolean;
  run(event: (now: number) => void): void;
}
