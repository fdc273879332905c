import { Worker } from 'node:worker_threads';
import { RING_ROOM, type CaptureFeed } from '../capture/live/captures.js';
import type { TapOptions } from '../capture/live/encoder.js';
import { ByteRing } from '../capture/live/ring.js';
import { WirestreamError } from '../device/errors.js';
import type { DeviceSettings } from '../device/settings.js';
import type { DeviceSnapshot } from '../device/snapshot.js';
import { shareCallLists } from './calllist.js';
import { openEventFd, signalEventFd } from './eventfd.js';
import { packSettings } from './packedsettings.js';
import {
  revived,
  type EngineCommand,
  type EngineInfo,
  type EngineMessage,
  type EngineStart,
  type EngineWorkerData,
} from './protocol.js';
import { close } from './syscalls.js';

/**
 * The main thread's handle on an engine that runs in a thread of its own.
 *
 * `startEngine` resolves when the TUN and the listening sockets exist; the interface still has no address then (interface.ts). `ended`
 * resolves when the engine is no more, for whatever reason, and nothing of it is left.
 */
export interface EngineHost {
  readonly info: EngineInfo;
  /** Null when it was stopped from here, else why it ended: tun-gone when somebody deleted the interface. */
  readonly ended: Promise<WirestreamError | null>;
  /** @throws WirestreamError port-in-use, mark-forbidden, … with nothing changed */
  configure(settings: DeviceSettings): Promise<void>;
  snapshot(): Promise<DeviceSnapshot>;
  /**
   * Watches the device.
   * @param ready is called when there is something to take again
   * @throws WirestreamError capture-busy
   */
  capture(options: TapOptions, ready: () => void): Promise<CaptureFeed>;
  /** Closes everything; resolves when the interface is gone. */
  stop(): Promise<void>;
}

/** What a caller may add to a start. */
export interface EngineHostOptions {
  /** the engine thread's compiled entry */
  readonly thread?: URL;
  /** takes lines of a Wireshark key log; without it the engine makes none */
  readonly keyLog?: (lines: string) => void;
}

const THREAD = new URL('./enginethread.js', import.meta.url);

/**
 * Starts an engine.
 * @throws WirestreamError what openTun and Engine.configure throw; nothing is left then
 */
export async function startEngine(start: EngineStart, options: EngineHostOptions = {}): Promise<EngineHost> {
  const handle = new Handle(start, options);
  const info = await handle.ready;
  return {
    info,
    ended: handle.ended,
    configure: async (settings) =>
      void (await handle.ask((id) => ({ id, do: 'configure', packed: packSettings(settings) }))),
    snapshot: async () => (await handle.ask((id) => ({ id, do: 'snapshot' })))!,
    capture: (options, ready) => handle.capture(options, ready),
    stop: () => handle.stop(),
  };
}

interface Waiting {
  resolve(snapshot: DeviceSnapshot | undefined): void;
  reject(error: Error): void;
}

class Handle {
  readonly ready: Promise<EngineInfo>;
  readonly ended: Promise<WirestreamError | null>;
  readonly #worker: Worker;
  /** ours, because the engine may be gone while we still signal it: a number that the kernel has given away again would be somebody else's */
  readonly #wakeFd = openEventFd();
  readonly #keyLog: ((lines: string) => void) | undefined;
  readonly #waiting = new Map<number, Waiting>();
  /** whom to tell of what is in the ring of a capture */
  readonly #captures = new Map<number, () => void>();
  /** A thread that sits in epoll_wait would keep the process from ending. */
  readonly #onProcessExit = () => void signalEventFd(this.#wakeFd);
  #lastId = 0;
  #isOver = false;
  #why: WirestreamError | null = null;
  #isReady!: (info: EngineInfo) => void;
  #isNot!: (error: Error) => void;
  #hasEnded!: (why: WirestreamError | null) => void;

  constructor(start: EngineStart, { thread = THREAD, keyLog }: EngineHostOptions) {
    this.#keyLog = keyLog;
    this.ready = new Promise((resolve, reject) => {
      this.#isReady = resolve;
      this.#isNot = reject;
    });
    this.ended = new Promise((resolve) => (this.#hasEnded = resolve));
    shareCallLists();
    const workerData: EngineWorkerData = { start, wakeFd: this.#wakeFd, keyLog: keyLog !== undefined };
    this.#worker = new Worker(thread, { workerData, name: `wirestream ${start.name}` });
    this.#worker.on('message', (message: EngineMessage) => this.#message(message));
    this.#worker.on('error', (error) => (this.#why ??= broken(error)));
    this.#worker.on('exit', () => this.#exited());
    process.once('exit', this.#onProcessExit);
  }

  ask(command: (id: number) => EngineCommand): Promise<DeviceSnapshot | undefined> {
    if (this.#isOver) return Promise.reject(gone(this.#why));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#post(command(id));
    });
  }

  async capture(options: TapOptions, ready: () => void): Promise<CaptureFeed> {
    const memory = new SharedArrayBuffer(ByteRing.memoryFor(RING_ROOM));
    const ring = new ByteRing(memory);
    let capture = 0;
    await this.ask((id) => {
      capture = id;
      this.#captures.set(id, ready);
      return { id, do: 'capture', memory, options };
    }).catch((error: unknown) => {
      this.#captures.delete(capture);
      throw error;
    });
    return {
      take: (most) => ring.take(most),
      stop: async () => {
        if (!this.#isOver) await this.ask((id) => ({ id, do: 'uncapture', capture })).catch(() => undefined);
        this.#captures.delete(capture);
      },
    };
  }

  async stop(): Promise<void> {
    if (!this.#isOver) this.#post({ id: 0, do: 'stop' });
    await this.ended;
  }

  #post(command: EngineCommand): void {
    this.#worker.postMessage(command);
    signalEventFd(this.#wakeFd);
  }

  #message(message: EngineMessage): void {
    switch (message.type) {
      case 'ready':
        this.#isReady(message.info);
        break;
      case 'ended':
        this.#why = message.error === null ? null : revived(message.error);
        break;
      case 'keys':
        this.#keyLog?.(message.lines);
        break;
      case 'captured':
        this.#captures.get(message.capture)?.();
        break;
      case 'reply': {
        const waiting = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (message.error === undefined) waiting?.resolve(message.snapshot);
        else waiting?.reject(revived(message.error));
      }
    }
  }

  #exited(): void {
    this.#isOver = true;
    process.removeListener('exit', this.#onProcessExit);
    close(this.#wakeFd);
    const error = gone(this.#why);
    this.#isNot(this.#why ?? error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#hasEnded(this.#why);
  }
}

function gone(why: WirestreamError | null): WirestreamError {
  return why ?? new WirestreamError('engine-stopped', 'the tunnel has been stopped');
}

function broken(error: unknown): WirestreamError {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new WirestreamError('internal', `the engine failed: ${text}`);
}
