import { describe, expect, test } from '@jest/globals';
import { captureTunnel } from '../../src/capture/tunnel.js';
import { withStalls } from '../../src/decode/stall.js';

/** A daemon that says something once and then waits for traffic that does not come. */
class Quiet {
  abandoned = false;
  #end!: () => void;
  readonly #ended = new Promise<void>((resolve) => (this.#end = resolve));

  async *events(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(0);
    await this.#ended;
  }

  stop(): void {
    this.#end();
  }

  abandon(): void {
    this.abandoned = true;
    this.#end();
  }
}

const nothing = { packets: 0, flush: () => undefined, finish: () => undefined } as never;
const sink = { settle: () => undefined } as never;

describe('a capture of a quiet tunnel', () => {
  test('ends when it has as many packets as were wanted, not with the next one', async () => {
    const client = new Quiet();
    const { signal } = new AbortController();
    expect(await captureTunnel(client, nothing, sink, signal, 0)).toEqual({ dropped: 0, gone: false });
    expect(client.abandoned).toBe(true);
  });

  test('ends when it is told to', async () => {
    const client = new Quiet();
    const abort = new AbortController();
    const ended = captureTunnel(client, nothing, sink, abort.signal, Infinity);
    abort.abort();
    expect(await ended).toEqual({ dropped: 0, gone: false });
  });
});

test('whoever leaves a source that stalls does not wait for it', async () => {
  const got: unknown[] = [];
  for await (const item of withStalls(new Quiet().events(), 1)) {
    got.push(item);
    if (item === null) break;
  }
  expect(got).toEqual([new Uint8Array(0), null]);
});
