/**
 * Our own control socket: what the configuration protocol has no words for.
 *
 * Theory of operation. JSON Lines: a client sends one request per line, the daemon answers each with one line, in turn.
 * `snapshot` gives the whole device, TCP connections included; `info` what this daemon is; `stop` takes the tunnel down and
 * answers when that is done, whereupon the daemon exits and the connection ends: when it has, nothing is left of it. `flows` and
 * `ping` are for tunnels with a user-space stack. After the answer to `capture` come the bytes of capture/live/events.ts; anything that the
 * client says ends them, and what had happened by then is still sent.
 * Byte arrays travel as {"$bytes": HEX}. Only the user who runs the daemon can open the socket.
 */
import type { Socket } from 'node:net';
import type { CaptureFeed } from '@wirestream/core/capture/live/captures';
import type { TapOptions } from '@wirestream/core/capture/live/encoder';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { parseIp } from '@wirestream/core/address/ip';
import type { FlowSnapshot } from '@wirestream/core/userspace/snapshot';
import { CaptureStream } from '../capture/serve.js';
import type { UserSide } from '../daemon/host.js';
import { open } from './socket.js';
import { write } from './uapi.js';

/** What a daemon says of itself. */
export interface DaemonInfo {
  readonly pid: number;
  readonly name: string;
  readonly version: string;
  /** how it is connected to the world: linux or portable */
  readonly driver: string;
}

export interface ControlBackend {
  snapshot(): Promise<DeviceSnapshot>;
  info(): DaemonInfo;
  /** Watches the device. @param ready is called when there is something to take again */
  capture(options: TapOptions, ready: () => void): Promise<CaptureFeed>;
  /** null where a network interface does that work */
  user(): Promise<UserSide | null>;
  /** Takes the tunnel down; sockets stay until the answer is out. */
  stop(): Promise<void>;
}

interface Request {
  readonly op: 'snapshot' | 'info' | 'stop' | 'flows' | 'ping' | 'capture';
  /** of capture */
  readonly options?: TapOptions;
  /** of ping */
  readonly address?: string;
  /** of ping: bytes of data, and ms to wait for the answer */
  readonly size?: number;
  readonly timeout?: number;
}
type Answer = { ok: true; result: unknown } | { ok: false; error: string };

/** Longest request line, characters. */
const REQUEST_MAX = 4096;

/** Serves one connection. */
export async function serveControl(socket: Socket, backend: ControlBackend): Promise<void> {
  socket.setEncoding('utf8');
  const stream = new CaptureStream(socket);
  let rest = '';
  try {
    for await (const chunk of socket) {
      const lines = (rest + (chunk as string)).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (stream.isRunning) {
          await stream.finish();
          // Leaving the loop cuts the connection off, so what has been written has to be out.
          await new Promise<void>((resolve) => socket.end(resolve));
          return;
        }
        await write(socket, `${encode(await answer(line, backend, stream))}\n`);
        stream.start();
      }
      if (rest.length > REQUEST_MAX) return;
    }
  } finally {
    await stream.finish();
  }
}

async function answer(line: string, backend: ControlBackend, stream: CaptureStream): Promise<Answer> {
  try {
    const request = decode(line) as Partial<Request>;
    const { op } = request;
    if (op === 'snapshot') return { ok: true, result: await backend.snapshot() };
    if (op === 'info') return { ok: true, result: backend.info() };
    if (op === 'stop') return { ok: true, result: await backend.stop() };
    if (op === 'capture') {
      stream.attach(await backend.capture(tapOptions(request.options), stream.ready));
      return { ok: true, result: backend.info() };
    }
    if (op === 'flows') return { ok: true, result: (await backend.user())?.flows() ?? [] };
    if (op === 'ping') return { ok: true, result: await ping(await backend.user(), request) };
    return { ok: false, error: 'no such operation' };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

function tapOptions(options: TapOptions | undefined): TapOptions {
  if (typeof options?.snapLength !== 'number') throw new Error('no options of a capture');
  return options;
}

async function ping(user: UserSide | null, { address, size, timeout }: Partial<Request>): Promise<number> {
  if (user === null) throw new Error('this tunnel has an interface; use ping(8)');
  if (typeof address !== 'string' || parseIp(address) === null) throw new Error('no address to ping');
  return user.ping(address, { ...(size === undefined ? {} : { size }), ...(timeout === undefined ? {} : { timeout }) });
}

/** The client's side: one connection, requests one after the other. */
export class ControlClient {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = linesOf(socket);
  }

  /** Rejects with the system's error when there is no daemon. */
  static async open(path: string): Promise<ControlClient> {
    return new ControlClient(await open(path));
  }

  async snapshot(): Promise<DeviceSnapshot> {
    return (await this.#ask('snapshot')) as DeviceSnapshot;
  }

  async info(): Promise<DaemonInfo> {
    return (await this.#ask('info')) as DaemonInfo;
  }

  async flows(): Promise<FlowSnapshot[]> {
    return (await this.#ask('flows')) as FlowSnapshot[];
  }

  /** @returns the round-trip time of one echo request, ms */
  async ping(address: string, options: { size?: number; timeout?: number } = {}): Promise<number> {
    return (await this.#ask('ping', { address, ...options })) as number;
  }

  /** Takes the tunnel down, and waits until the daemon is gone. */
  async stop(): Promise<void> {
    await this.#ask('stop');
    await this.#lines.next().catch(() => undefined);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #ask(op: Request['op'], more: Partial<Request> = {}): Promise<unknown> {
    await write(this.#socket, `${JSON.stringify({ op, ...more })}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new WirestreamError('daemon-gone', 'the daemon has gone away');
    const reply = decode(value) as Answer;
    if (!reply.ok) throw new WirestreamError('daemon-refused', `the daemon says: ${reply.error}`);
    return reply.result;
  }
}

async function* linesOf(socket: Socket): AsyncGenerator<string, undefined> {
  socket.setEncoding('utf8');
  let rest = '';
  for await (const chunk of socket) {
    const lines = (rest + (chunk as string)).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  return undefined;
}

/** JSON in which byte arrays survive. */
export function encode(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) =>
    v instanceof Uint8Array ? { $bytes: Buffer.from(v.buffer, v.byteOffset, v.byteLength).toString('hex') } : v,
  );
}

export function decode(text: string): unknown {
  return JSON.parse(text, (_, v: unknown) => {
    const hex = typeof v === 'object' && v !== null ? (v as { $bytes?: unknown }).$bytes : undefined;
    return typeof hex === 'string' ? Uint8Array.from(Buffer.from(hex, 'hex')) : v;
  });
}
