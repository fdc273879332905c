import fc from 'fast-check';

/**
 * One thing that happens in a simulated world, as plain data, so that a script can be printed, kept in a file and run again. After each the world
 * runs for `wait` ms. Hosts are numbers, taken modulo how many there are.
 */
export type Step = { readonly wait: number } & (
  | { readonly do: 'wait' }
  /** `count` echo requests at once */
  | { readonly do: 'ping'; readonly from: number; readonly to: number; readonly size: number; readonly count: number }
  /** pings 200 ms apart, both ways */
  | { readonly do: 'traffic'; readonly from: number; readonly to: number; readonly count: number }
  /** both at the same instant */
  | { readonly do: 'both'; readonly from: number; readonly to: number }
  /** one lane, or both, loses or holds up everything, or carries again */
  | {
      readonly do: 'lane';
      readonly from: number;
      readonly to: number;
      readonly both: boolean;
      readonly state: 'vanish' | 'stall' | 'up';
    }
  /** the nth connection is reset at both ends */
  | { readonly do: 'kill'; readonly host: number; readonly nth: number }
  /** the nth connection is forgotten at one end only; the other learns of it when it sends */
  | { readonly do: 'forget'; readonly host: number; readonly nth: number }
  | { readonly do: 'listener'; readonly host: number; readonly state: 'open' | 'refuses' | 'drops' }
  /** a new address translation, or a first one */
  | { readonly do: 'nat'; readonly host: number; readonly newAddress: boolean }
  | { readonly do: 'move'; readonly host: number }
  /** the host goes and comes back `down` ms later without its keys; its wall clock is then off by `skew` ms */
  | {
      readonly do: 'restart';
      readonly host: number;
      readonly how: 'stop' | 'kill' | 'crash';
      readonly down: number;
      readonly skew: number;
    }
  /** the wall clock is set */
  | { readonly do: 'clock'; readonly host: number; readonly skew: number }
  | {
      readonly do: 'damage';
      readonly from: number;
      readonly to: number;
      readonly kind: 'flip' | 'insert' | 'delete';
      readonly count: number;
    }
  /** somebody without keys connects and says something */
  | { readonly do: 'stranger'; readonly to: number; readonly says: StrangerTalk; readonly times: number }
  /** socket buffers become small, or large again */
  | { readonly do: 'buffers'; readonly host: number; readonly send: number }
  /** the other end's address is configured (again) */
  | { readonly do: 'configure'; readonly host: number; readonly of: number }
);

export type StrangerTalk = 'nothing' | 'garbage' | 'half a record' | 'unknown key' | 'replay' | 'drip' | 'huge record';

/** The world that a script runs in. */
export interface Setup {
  readonly seed: number;
  readonly hosts: number;
  readonly transport: 'tcp' | 'udp';
  /** one way, ms */
  readonly latency: number;
  readonly jitter: number;
  /** bytes per ms; 0 for no limit */
  readonly rate: number;
  readonly segmentMin: number;
  readonly segmentMax: number;
  readonly readMax: number;
  readonly sendBuffer: number;
  /** ms; 0 for none */
  readonly userTimeout: number;
  /** ms until a lost address is noticed; -1 for never */
  readonly noticesAddress: number;
  /** seconds; 0 for none */
  readonly keepalive: number;
  /** whether the hosts with higher numbers are told where the others are */
  readonly mutual: boolean;
  readonly loss: number;
}

export interface Script {
  readonly setup: Setup;
  readonly steps: readonly Step[];
}

const host = fc.nat({ max: 2 });
/** Mostly short, sometimes long enough for timers. */
const wait = fc.oneof(
  { weight: 4, arbitrary: fc.nat({ max: 50 }) },
  { weight: 4, arbitrary: fc.nat({ max: 2_000 }) },
  { weight: 2, arbitrary: fc.nat({ max: 20_000 }) },
  { weight: 1, arbitrary: fc.nat({ max: 200_000 }) },
);
const skew = fc.oneof(fc.constant(0), fc.integer({ min: -3_600_000, max: 3_600_000 }));
const size = fc.oneof(fc.constant(84), fc.integer({ min: 32, max: 1420 }));

const of = <T extends Step['do'], R>(what: T, fields: { [K in keyof R]: fc.Arbitrary<R[K]> }) =>
  fc.record({ do: fc.constant(what), wait, ...fields });

export const stepArbitrary = fc.oneof(
  { weight: 2, arbitrary: of('wait', {}) },
  { weight: 6, arbitrary: of('ping', { from: host, to: host, size, count: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 4, arbitrary: of('traffic', { from: host, to: host, count: fc.integer({ min: 1, max: 50 }) }) },
  { weight: 2, arbitrary: of('both', { from: host, to: host }) },
  {
    weight: 4,
    arbitrary: of('lane', {
      from: host,
      to: host,
      both: fc.boolean(),
      state: fc.constantFrom('vanish', 'vanish', 'stall', 'up', 'up'),
    }),
  },
  { weight: 3, arbitrary: of('kill', { host, nth: fc.nat({ max: 2 }) }) },
  { weight: 3, arbitrary: of('forget', { host, nth: fc.nat({ max: 2 }) }) },
  { weight: 2, arbitrary: of('listener', { host, state: fc.constantFrom('open', 'refuses', 'drops') }) },
  { weight: 1, arbitrary: of('nat', { host, newAddress: fc.boolean() }) },
  { weight: 1, arbitrary: of('move', { host }) },
  {
    weight: 2,
    arbitrary: of('restart', {
      host,
      how: fc.constantFrom('stop', 'kill', 'crash'),
      down: fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 10_000 })),
      skew,
    }),
  },
  { weight: 1, arbitrary: of('clock', { host, skew }) },
  {
    weight: 3,
    arbitrary: of('damage', {
      from: host,
      to: host,
      kind: fc.constantFrom('flip', 'insert', 'delete'),
      count: fc.integer({ min: 1, max: 300 }),
    }),
  },
  {
    weight: 2,
    arbitrary: of('stranger', {
      to: host,
      says: fc.constantFrom('nothing', 'garbage', 'half a record', 'unknown key', 'replay', 'drip', 'huge record'),
      times: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 1, arbitrary: of('buffers', { host, send: fc.constantFrom(20, 500, 4_000, 256 * 1024) }) },
  { weight: 1, arbitrary: of('configure', { host, of: host }) },
) as fc.Arbitrary<Step>;

export const setupArbitrary: fc.Arbitrary<Setup> = fc.record({
  seed: fc.nat({ max: 0x7fffffff }),
  hosts: fc.constantFrom(2, 2, 2, 3),
  transport: fc.constantFrom('tcp', 'tcp', 'tcp', 'tcp', 'tcp', 'tcp', 'tcp', 'udp'),
  latency: fc.constantFrom(10, 1, 40, 150),
  jitter: fc.constantFrom(0, 0, 5, 60),
  rate: fc.constantFrom(0, 0, 1000, 50),
  segmentMin: fc.constantFrom(1460, 1),
  segmentMax: fc.constantFrom(1460, 1460, 200),
  readMax: fc.constantFrom(65_536, 65_536, 100),
  sendBuffer: fc.constantFrom(256 * 1024, 256 * 1024, 2_000),
  userTimeout: fc.constantFrom(10_000, 10_000, 0),
  noticesAddress: fc.constantFrom(-1, 0, 100),
  keepalive: fc.constantFrom(0, 0, 0, 5, 25),
  mutual: fc.constantFrom(true, true, false),
  loss: fc.constantFrom(0, 0.1),
});

/** Scripts of at most `max` steps. */
export function scriptArbitrary(max: number): fc.Arbitrary<Script> {
  return fc.record({ setup: setupArbitrary, steps: fc.array(stepArbitrary, { maxLength: max, size: 'max' }) });
}

/** As it is printed and kept. */
export function printScript({ setup, steps }: Script): string {
  const lines = steps.map((step) => `    ${JSON.stringify(step)}`).join(',\n');
  return `{\n  "setup": ${JSON.stringify(setup)},\n  "steps": [\n${lines}\n  ]\n}`;
}
