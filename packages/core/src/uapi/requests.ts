import type { DeviceSettings } from '../device/settings.js';
import type { ZoneIndex } from './endpoint.js';
import { SetParser } from './set.js';
import { ERRNO, LINE_MAX, REQUEST_MAX, UapiError } from './uapi.js';

/** One request, as it stands in the stream. */
export type Request =
  | { readonly op: 'get' }
  | { readonly op: 'set'; readonly settings: DeviceSettings }
  /** what was sent cannot be done; nothing of it has been */
  | { readonly op: 'refuse'; readonly error: UapiError }
  /** the stream cannot be followed any more; `error` null: close it without a word */
  | { readonly op: 'close'; readonly error: UapiError | null };

/** Cuts a client's byte stream into requests. Holds at most one line and one request's settings. */
export class RequestReader {
  readonly #zone: ZoneIndex;
  readonly #decoder = new TextDecoder('latin1');
  /** the beginning of a line whose end has not arrived */
  #rest = '';
  /** characters of the current request so far */
  #size = 0;
  #state: 'between' | 'get' | 'set' | 'skip' | 'closed' = 'between';
  #set: SetParser | null = null;
  #error: UapiError | null = null;

  /** @param zone finds the interfaces that IPv6 endpoints name */
  constructor(zone: ZoneIndex = () => 0) {
    this.#zone = zone;
  }

  /** Takes the next bytes and gives the requests that they complete. After a `close` it gives nothing more. */
  *push(chunk: Uint8Array): Generator<Request> {
    const text = this.#rest + this.#decoder.decode(chunk, { stream: true });
    this.#rest = '';
    let start = 0;
    while (this.#state !== 'closed') {
      const end = text.indexOf('\n', start);
      if ((end < 0 ? text.length : end) - start > LINE_MAX) {
        yield this.#close(new UapiError(ERRNO.protocol, `line of more than ${LINE_MAX} characters`));
        return;
      }
      if (end < 0) break;
      this.#size += end - start + 1;
      if (this.#size > REQUEST_MAX) {
        yield this.#close(new UapiError(ERRNO.protocol, `request of more than ${REQUEST_MAX} characters`));
        return;
      }
      const request = this.#line(text.slice(start, end));
      if (request !== null) yield request;
      start = end + 1;
    }
    if (this.#state !== 'closed') this.#rest = text.slice(start);
  }

  #line(line: string): Request | null {
    switch (this.#state) {
      case 'between':
        if (line === 'get=1') this.#state = 'get';
        else if (line === 'set=1') {
          this.#state = 'set';
          this.#set = new SetParser(this.#zone);
        } else return this.#close(null);
        return null;
      case 'get':
        // Only the empty line may follow; with anything else it is not clear where the next request begins.
        return line === '' ? this.#end({ op: 'get' }) : this.#close(new UapiError(ERRNO.invalid, 'text behind get=1'));
      case 'set':
        if (line === '') return this.#end({ op: 'set', settings: this.#set!.settings });
        this.#take(line);
        return null;
      case 'skip':
        return line === '' ? this.#end({ op: 'refuse', error: this.#error! }) : null;
      default:
        return null;
    }
  }

  #take(line: string): void {
    try {
      const equals = line.indexOf('=');
      if (equals < 0) throw new UapiError(ERRNO.protocol, 'line without =');
      this.#set!.line(line.slice(0, equals), line.slice(equals + 1));
    } catch (error) {
      if (!(error instanceof UapiError)) throw error;
      this.#error = error;
      this.#set = null;
      this.#state = 'skip';
    }
  }

  #end(request: Request): Request {
    this.#state = 'between';
    this.#set = null;
    this.#error = null;
    this.#size = 0;
    return request;
  }

  #close(error: UapiError | null): Request {
    this.#end({ op: 'get' });
    this.#state = 'closed';
    return { op: 'close', error };
  }
}
