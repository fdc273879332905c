import { isWirestreamError } from '../device/errors.js';
import type { DeviceSettings } from '../device/settings.js';
import type { DeviceSnapshot } from '../device/snapshot.js';
import type { ZoneIndex } from './endpoint.js';
import { formatGet } from './get.js';
import { RequestReader, type Request } from './requests.js';
import { ERRNO, UapiError } from './uapi.js';

/** The device behind a session: usually in another thread, hence the promises. */
export interface UapiBackend {
  snapshot(): Promise<DeviceSnapshot>;
  configure(settings: DeviceSettings): Promise<void>;
}

/**
 * One client's conversation. The driver gives it what arrives, one chunk after the other, and stops reading until the
 * promise is done, so that a client that does not wait for its replies cannot pile up work.
 */
export class UapiSession {
  readonly #reader: RequestReader;
  readonly #backend: UapiBackend;
  readonly #send: (text: string) => void | Promise<void>;

  /** @param send takes one whole reply at a time */
  constructor(backend: UapiBackend, send: (text: string) => void | Promise<void>, zone?: ZoneIndex) {
    this.#backend = backend;
    this.#send = send;
    this.#reader = new RequestReader(zone);
  }

  /** Runs the requests that `chunk` completes. @returns whether the connection goes on; if not, it is to be closed */
  async receive(chunk: Uint8Array): Promise<boolean> {
    for (const request of this.#reader.push(chunk)) {
      if (request.op === 'close') {
        if (request.error !== null) await this.#reply('', request.error.errno);
        return false;
      }
      const { text, errno } = await this.#run(request);
      await this.#reply(text, errno);
    }
    return true;
  }

  async #run(request: Exclude<Request, { op: 'close' }>): Promise<{ text: string; errno: number }> {
    if (request.op === 'refuse') return { text: '', errno: request.error.errno };
    try {
      if (request.op === 'get') return { text: formatGet(await this.#backend.snapshot()), errno: ERRNO.none };
      await this.#backend.configure(request.settings);
      return { text: '', errno: ERRNO.none };
    } catch (error) {
      return { text: '', errno: errnoOf(error) };
    }
  }

  async #reply(text: string, errno: number): Promise<void> {
    await this.#send(`${text}errno=${errno}\n\n`);
  }
}

/** Codes of errors that people can fix, and what the protocol calls them; the rest of those are EIO. */
const ERRNO_OF_CODE: Readonly<Record<string, number>> = {
  'port-in-use': ERRNO.portInUse,
  EADDRINUSE: ERRNO.portInUse,
  'invalid-settings': ERRNO.invalid,
};

/** The error number that a failure of the device is reported by. */
export function errnoOf(error: unknown): number {
  if (error instanceof UapiError) return error.errno;
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  const known = typeof code === 'string' ? ERRNO_OF_CODE[code] : undefined;
  return known ?? (isWirestreamError(error) ? ERRNO.io : ERRNO.unknown);
}
