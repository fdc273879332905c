import type { End } from '../sides/end.js';
import type { OurEnd } from '../sides/ourend.js';
import type { DamageProxy } from '../wire/damageproxy.js';
import { endpoint, type Plan, type Side } from './plan.js';

/** What the steps of one scenario share. */
export class Context {
  /** between the ends, when the scenario has one: our end dials it */
  proxy: DamageProxy | null = null;
  /** counters of a side that its restart has set to zero: they cannot be compared any more */
  countersLost = false;
  readonly pings: PingRun[] = [];
  readonly events: { readonly at: number; readonly what: string }[] = [];

  constructor(
    readonly plan: Plan,
    readonly us: OurEnd,
    readonly kernel: End,
  ) {}

  end(side: Side): End {
    return side === 'us' ? this.us : this.kernel;
  }

  /** Where the other side is to send to, to reach this one. */
  address(side: Side): string {
    const { outer, port } = this.plan[side];
    return endpoint(outer[this.plan.family], port);
  }

  note(what: string): void {
    this.events.push({ at: Date.now() / 1000, what });
  }
}

export interface PingRun {
  readonly from: Side;
  readonly to: string;
  readonly payloadBytes: number;
  readonly sent: number;
  readonly received: number;
}
