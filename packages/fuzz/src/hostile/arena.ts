import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Transport } from '@wirestream/core/device/settings';
import type { Deeds, Orders } from './attacker.js';
import { Genuine, type Pings } from './genuine.js';
import type { Measure, Question } from './victim.js';

export type DriverKind = 'portable' | 'linux';

/** One attack, and what it did to the device and to a genuine peer. */
export interface Outcome {
  /** the most that there was at a time */
  readonly peak: { readonly pending: number; readonly descriptors: number };
  readonly before: Measure;
  readonly after: Measure;
  /** shortly after the attack */
  readonly calm: Pings;
  readonly pings: Pings;
  /** of the same moments, through a tunnel that nobody attacks: what the machine as a whole was up to */
  readonly control: Pings;
  readonly deeds: Deeds;
  /** s */
  readonly seconds: number;
}

/** A device, a genuine peer with a tunnel to it, an attacker, and another pair that is left in peace; all but the peers in processes of their own. */
export class Arena {
  #lastId = 0;

  private constructor(
    readonly driver: DriverKind,
    readonly transport: Transport,
    readonly victim: ChildProcess,
    readonly attacker: ChildProcess,
    readonly genuine: Genuine,
    /** a device that is left in peace, and its peer */
    readonly spared: ChildProcess,
    readonly control: Genuine,
    readonly port: number,
    readonly uapi: string,
  ) {}

  static async open(driver: DriverKind, transport: Transport): Promise<Arena> {
    const victim = fork(path('victim.js'), [driver, transport]);
    const spared = fork(path('victim.js'), ['portable', transport]);
    const attacker = fork(path('attacker.js'));
    const [[measure], [other]] = (await Promise.all([victim, spared, attacker].map(firstMessage))) as [
      [Measure],
      [Measure],
      unknown,
    ];
    const genuine = new Genuine(2, measure.port, transport, victim.pid!);
    const control = new Genuine(2, other.port, transport, spared.pid!);
    await Promise.all([genuine.start(), control.start()]);
    return new Arena(driver, transport, victim, attacker, genuine, spared, control, measure.port, measure.uapi);
  }

  ask(question: Omit<Question, 'id'>): Promise<Measure> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const hear = (measure: Measure) => {
        if (measure.id !== id) return;
        this.victim.off('message', hear);
        resolve(measure);
      };
      this.victim.on('message', hear);
      this.victim.send({ ...question, id });
    });
  }

  /** @param meanwhile something else that happens during the attack */
  async suffer(
    attack: Orders['attack'],
    ms: number,
    meanwhile: () => Promise<void> = () => Promise.resolve(),
  ): Promise<Outcome> {
    return this.during(async () => {
      const answer = once(this.attacker, 'message');
      this.attacker.send({ attack, port: this.port, uapi: this.uapi, ms } satisfies Orders);
      const [deeds] = (await Promise.all([answer, meanwhile()])).map((part) => (part as [Deeds] | undefined)?.[0]);
      return deeds!;
    });
  }

  /** Measures around whatever happens. */
  async during(what: () => Promise<Deeds>): Promise<Outcome> {
    const before = await this.ask({ ask: 'measure' });
    const began = performance.now();
    const going = what();
    const watching = this.#watch(going);
    const [pings, control] = await Promise.all([this.genuine.pingWhile(going), this.control.pingWhile(going)]);
    const deeds = await going;
    const after = await this.ask({ ask: 'measure' });
    const seconds = (performance.now() - began) / 1000;
    const calm = await this.genuine.pingWhile(Promise.resolve(), 5);
    return { before, after, calm, pings, control, deeds, seconds, peak: await watching };
  }

  async #watch(going: Promise<unknown>): Promise<Outcome['peak']> {
    let done = false;
    void going.finally(() => (done = true)).catch(() => undefined);
    let [pending, descriptors] = [0, 0];
    while (!done) {
      const now = await this.ask({ ask: 'measure' });
      pending = Math.max(pending, now.pending);
      descriptors = Math.max(descriptors, now.descriptors);
      await sleep(100);
    }
    return { pending, descriptors };
  }

  async close(): Promise<void> {
    await Promise.all([this.genuine.stop(), this.control.stop()]);
    const ends = [this.victim, this.spared, this.attacker].map((child) => once(child, 'exit'));
    for (const device of [this.victim, this.spared]) device.send({ id: 0, ask: 'stop' } satisfies Question);
    this.attacker.send('stop');
    await Promise.all(ends);
  }
}

function path(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

async function firstMessage(child: ChildProcess): Promise<unknown[]> {
  const died = once(child, 'exit').then(([code]) => Promise.reject(new Error(`a process ended with ${String(code)}`)));
  return Promise.race([once(child, 'message'), died]);
}
