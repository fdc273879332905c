import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { damageBytes, type Damage } from './damage.js';

export type { Damage } from './damage.js';

/** A TCP proxy that passes bytes on, and on demand damages some of what passes, in both directions. */
export class DamageProxy {
  readonly #sockets = new Set<Socket>();
  #what: Damage = 'flip';
  /** how often still, by direction: towards the target, and back */
  readonly #left: [number, number] = [0, 0];
  /** how often so far */
  damaged = 0;
  connections = 0;

  private constructor(
    private readonly server: Server,
    private readonly target: { readonly host: string; readonly port: number },
    private readonly random: () => number,
  ) {
    server.on('connection', (near) => this.#pass(near));
  }

  static async listen(
    host: string,
    target: { readonly host: string; readonly port: number },
    random: () => number = Math.random,
  ): Promise<DamageProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, host, resolve));
    return new DamageProxy(server, target, random);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** The next pieces are damaged, so many each way. */
  damage(what: Damage, times: number): void {
    this.#what = what;
    this.#left.fill(times);
  }

  heal(): void {
    this.#left.fill(0);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #pass(near: Socket): void {
    this.connections++;
    const far = connect({ ...this.target, allowHalfOpen: true, noDelay: true });
    this.#one(near, far, 0);
    this.#one(far, near, 1);
  }

  #one(input: Socket, output: Socket, direction: 0 | 1): void {
    this.#sockets.add(input);
    input.on('data', (chunk: Buffer) => {
      let passed = chunk;
      if (this.#left[direction] > 0) {
        this.#left[direction]--;
        this.damaged++;
        passed = damageBytes(chunk, this.#what, this.random);
      }
      if (!output.write(passed)) {
        input.pause();
        output.once('drain', () => input.resume());
      }
    });
    input.once('end', () => output.end());
    // A reset stays a reset; ending the other side in order would leave its half open.
    input.once('error', () => output.resetAndDestroy());
    input.once('close', () => {
      this.#sockets.delete(input);
      output.destroySoon();
    });
  }
}
