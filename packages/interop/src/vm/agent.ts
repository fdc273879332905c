import type { Duplex } from 'node:stream';

/** The near ends of the guest's command lines (guestinit.ts). */

export interface Output {
  /** exit status; 124 or 137 when the time limit ended it */
  readonly status: number;
  /** standard output and error, as they came */
  readonly bytes: Buffer;
}

/** Seconds that an answer may take longer than its command was given: emulation is slow. */
const SLACK = 60;
/** No answer is longer, bytes of base64. */
const LINE_MAX = 128 << 20;

interface Waiting {
  resolve(output: Output): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout | null;
}

/** One port. */
export class Agent {
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #chunks: Buffer[] = [];
  #held = 0;
  #dead: Error | null = null;
  /** what the guest said of itself when it was ready */
  readonly hello: Promise<string>;

  constructor(private readonly port: Duplex) {
    this.hello = this.#wait(0, null).then(({ bytes }) => bytes.toString('utf8').trim());
    this.hello.catch(() => undefined);
    port.on('data', (chunk: Buffer) => this.#take(chunk));
    port.on('error', (error) => this.fail(error));
    port.on('close', () => this.fail(new Error('the virtual machine ended')));
  }

  /** @param limit seconds after which the guest ends the script */
  async run(script: string, limit: number): Promise<Output> {
    if (this.#dead !== null) throw this.#dead;
    const id = this.#next++;
    const answer = this.#wait(id, (limit + SLACK) * 1000);
    this.port.write(`${id} ${limit} ${Buffer.from(script).toString('base64')}\n`);
    return answer;
  }

  get isDead(): boolean {
    return this.#dead !== null;
  }

  /** Ends all that is waited for. */
  fail(error: Error): void {
    if (this.#dead !== null) return;
    this.#dead = error;
    for (const waiting of this.#waiting.values()) {
      if (waiting.timer !== null) clearTimeout(waiting.timer);
      waiting.reject(error);
    }
    this.#waiting.clear();
  }

  async #wait(id: number, ms: number | null): Promise<Output> {
    return new Promise((resolve, reject) => {
      const give = (): void => {
        this.#waiting.delete(id);
        reject(new Error(`the guest has not answered within ${ms! / 1000} s`));
      };
      this.#waiting.set(id, { resolve, reject, timer: ms === null ? null : setTimeout(give, ms) });
    });
  }

  #take(chunk: Buffer): void {
    for (let begin = 0; begin < chunk.length;) {
      const end = chunk.indexOf(10, begin);
      this.#chunks.push(chunk.subarray(begin, end < 0 ? chunk.length : end));
      this.#held += this.#chunks.at(-1)!.length;
      if (this.#held > LINE_MAX) return this.fail(new Error(`the guest's answer is longer than ${LINE_MAX} bytes`));
      if (end < 0) return;
      this.#line(Buffer.concat(this.#chunks).toString('latin1'));
      this.#chunks = [];
      this.#held = 0;
      begin = end + 1;
    }
  }

  #line(line: string): void {
    const match = /^(\d+) (\d+) ([A-Za-z0-9+/=]*)$/.exec(line);
    const waiting = match === null ? undefined : this.#waiting.get(Number(match[1]));
    // Answers that nobody waits for any more came too late.
    if (match === null || waiting === undefined) return;
    this.#waiting.delete(Number(match[1]));
    if (waiting.timer !== null) clearTimeout(waiting.timer);
    waiting.resolve({ status: Number(match[2]), bytes: Buffer.from(match[3]!, 'base64') });
  }
}

/** All ports of a guest: each command takes one that is free, or waits until one is. */
export class Agents {
  readonly #free: Agent[];
  readonly #queue: ((agent: Agent) => void)[] = [];

  constructor(private readonly all: readonly Agent[]) {
    this.#free = [...all];
  }

  async run(script: string, limit: number): Promise<Output> {
    const agent = this.#free.pop() ?? (await new Promise<Agent>((resolve) => this.#queue.push(resolve)));
    let isUsable = true;
    try {
      return await agent.run(script, limit);
    } catch (error) {
      // A command that has not been answered may be so later: nothing else can go there before that.
      isUsable = agent.isDead || this.all.length === 1;
      throw error;
    } finally {
      const next = isUsable ? this.#queue.shift() : undefined;
      if (next !== undefined) next(agent);
      else if (isUsable) this.#free.push(agent);
    }
  }

  fail(error: Error): void {
    for (const agent of this.all) agent.fail(error);
  }
}
