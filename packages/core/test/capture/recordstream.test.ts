import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RecordStream, SCRATCH_SIZE, type RecordSink } from '../../src/capture/recordstream.js';
import { Slab } from '../../src/slab/slab.js';
import { concat, noise } from './frames.js';
import { asRecord } from './tunnel.js';

/** A message that looks like transport data. */
function message(length: number, seed: number): Uint8Array {
  const out = noise(length, seed);
  out.set([4, 0, 0, 0]);
  return out;
}

function collect(joined = false, isGenuine: (message: Uint8Array) => boolean = () => true) {
  const scratch = Slab.plain(SCRATCH_SIZE);
  const found: { position: number; message: string }[] = [];
  const cut: { position: number; present: number; length: number }[] = [];
  const skipped: { position: number; length: number; why: string }[] = [];
  const budget = { used: 0 };
  const hex = (at: number, length: number) => Buffer.from(scratch.bytes.slice(at, at + length)).toString('hex');
  const sink: RecordSink = {
    judge: (_stream, at, length) => isGenuine(scratch.bytes.slice(at, at + length)),
    record: (_stream, position, _header, at, length) => found.push({ position, message: hex(at, length) }),
    cut: (_stream, position, _header, _at, present, length) => cut.push({ position, present, length }),
    skipped: (_stream, position, length, why) => skipped.push({ position, length, why }),
  };
  return { stream: new RecordStream(sink, scratch, budget, joined), found, cut, skipped, budget };
}

type Collected = ReturnType<typeof collect>;

/** Feeds bytes in pieces that end at the given offsets. */
function feed(to: Collected, bytes: Uint8Array, cuts: readonly number[], from = 0): void {
  const offsets = [0, ...[...cuts].filter((n) => n > 0 && n < bytes.length).sort((a, b) => a - b), bytes.length];
  for (let i = 0; i + 1 < offsets.length; i++) {
    const start = offsets[i]!;
    const piece = concat(noise(3), bytes.slice(start, offsets[i + 1]));
    to.stream.data(from + start, piece, 3, piece.length - 3);
    piece.fill(0xee);
  }
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('records in a captured stream', () => {
  test('are found whole and in place, however the stream is cut into segments and whatever garbage is between', () => {
    const part = fc.record({
      length: fc.integer({ min: 32, max: 300 }),
      garbage: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 40 })),
    });
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(2500), { maxLength: 30 }),
        (parts, cuts) => {
          const messages = parts.map(({ length }, i) => message(length, i + 1));
          const bytes = concat(
            ...parts.flatMap(({ garbage }, i) => [new Uint8Array(garbage).fill(0xa5), asRecord(messages[i]!)]),
          );
          const to = collect();
          feed(to, bytes, cuts);
          to.stream.finish();
          expect(to.found.map((one) => one.message)).toEqual(messages.map(hexOf));
          const runs = parts.filter(({ garbage }) => garbage > 0);
          expect(to.skipped.map(({ length, why }) => [length, why])).toEqual(
            runs.map(({ garbage }) => [garbage, 'garbage']),
          );
          expect([to.stream.resyncs, to.stream.records]).toEqual([runs.length, parts.length]);
          expect(to.budget.used).toBe(0);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('a record of the largest size, byte by byte at its end, is gathered once', () => {
    const big = message(65535, 5);
    const to = collect();
    const bytes = asRecord(big);
    feed(
      to,
      bytes,
      Array.from({ length: 2000 }, (_, i) => i * 32),
    );
    expect(to.found.map((one) => one.message)).toEqual([hexOf(big)]);
  });

  test('a gap inside a record costs that record only, and is no resync', () => {
    const messages = [1, 2, 3, 4].map((seed) => message(200, seed));
    const bytes = concat(...messages.map(asRecord));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 8, max: 200 }),
        fc.nat(190),
        fc.array(fc.nat(832), { maxLength: 6 }),
        (which, at, size, cuts) => {
          const start = 208 * which + at;
          const length = Math.min(size + 1, 208 * (which + 1) - start);
          fc.pre(length > 0);
          const to = collect();
          feed(to, bytes.slice(0, start), cuts);
          to.stream.gap(start, length, 'lost');
          feed(to, bytes.slice(start + length), cuts, start + length);
          to.stream.finish();
          expect(to.found.map((one) => one.message)).toEqual(messages.filter((_, i) => i !== which).map(hexOf));
          expect(to.cut).toEqual([{ position: 208 * which, present: at - 8, length: 200 }]);
          expect(to.skipped).toEqual([]);
          expect(to.stream.resyncs).toBe(0);
        },
      ),
    );
  });

  test('a gap over several records, or over a header, makes it search; that is no resync either', () => {
    const messages = [1, 2, 3, 4, 5].map((seed) => message(200, seed));
    const bytes = concat(...messages.map(asRecord));
    for (const [start, end, lost] of [
      [100, 300, [0, 1]],
      [204, 212, [0, 1]],
      [0, 416, [0, 1]],
      [3, 500, [0, 1, 2]],
    ] as const) {
      const to = collect();
      feed(to, bytes.slice(0, start), []);
      to.stream.gap(start, end - start, 'lost');
      feed(to, bytes.slice(end), [700], end);
      to.stream.finish();
      const kept = messages.filter((_, i) => !(lost as readonly number[]).includes(i));
      expect(to.found.map((one) => one.message)).toEqual(kept.map(hexOf));
      expect(to.stream.resyncs).toBe(0);
      expect(to.skipped.every(({ why }) => why === 'gap')).toBe(true);
    }
  });

  test('joined in the middle, what comes before the first record is no resync', () => {
    const to = collect(true);
    feed(to, concat(noise(77, 3), asRecord(message(100, 1)), noise(5, 4), asRecord(message(100, 2))), []);
    expect(to.skipped).toEqual([
      { position: 0, length: 77, why: 'gap' },
      { position: 185, length: 5, why: 'garbage' },
    ]);
    expect(to.stream.resyncs).toBe(1);
  });

  test('a header that lies in garbage and does not authenticate swallows nothing', () => {
    const genuine = [message(100, 1), message(100, 2), message(100, 3)];
    // What looks like a record of 300 bytes covers the first genuine ones.
    const trap = asRecord(message(300, 9)).slice(0, 12);
    const bytes = concat(noise(9, 2).fill(0xa5), trap, ...genuine.map(asRecord));
    const to = collect(false, (bytes) => genuine.some((one) => hexOf(one) === hexOf(bytes)));
    feed(to, bytes, [40, 100]);
    expect(to.found.map((one) => one.message)).toEqual(genuine.map(hexOf));
    expect(to.skipped).toEqual([{ position: 0, length: 21, why: 'garbage' }]);
    expect(to.stream.records).toBe(3);
  });

  test('a record that does not authenticate in its place is kept, and records inside it are found', () => {
    const good = message(100, 2);
    // Forty bytes were removed from the first record, so that its length reaches into the second.
    const bytes = concat(asRecord(message(200, 1)).slice(0, 168), asRecord(good), asRecord(message(50, 3)));
    const to = collect(false, (bytes) => bytes.length !== 200);
    feed(to, bytes, []);
    expect(to.found.map((one) => one.message).slice(1)).toEqual([hexOf(good), hexOf(message(50, 3))]);
  });

  test('what ends in the middle of a record says so', () => {
    const to = collect();
    feed(to, asRecord(message(100, 1)).slice(0, 30), [3, 9]);
    expect([to.stream.partial, to.stream.partialLength]).toEqual([30, 108]);
    to.stream.finish();
    expect(to.cut).toEqual([{ position: 0, present: 22, length: 100 }]);
    expect([to.stream.records, to.stream.cutRecords]).toEqual([1, 1]);
  });

  test('a stream that carries something else costs no memory and finds nothing', () => {
    const to = collect();
    for (let i = 0; i < 200; i++) to.stream.data(i * 1400, noise(1400, i + 1), 0, 1400);
    to.stream.finish();
    expect([to.found, to.skipped, to.stream.resyncs]).toEqual([[], [], 0]);
  });
});
