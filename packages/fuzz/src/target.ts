import fc from 'fast-check';
import { generate } from './choices.js';

/**
 * A property that is used in three ways.
 *
 * Theory of operation. A target is an arbitrary, which makes inputs, and a check, which throws when the property does not hold. As a test it
 * runs on random inputs for a moment (`runTarget`). In a campaign it runs on random inputs and on inputs grown from
 * byte buffers that reached something new (`runBytes`): the bytes are either the input itself, where a target says how (`fromBytes`), or the
 * choices that its arbitrary makes, so that changing a byte changes one decision and everything stays a legal input. And a failing input is
 * plain data, which can be kept in a file and run again (`check`).
 */
export interface Target<T = unknown> {
  readonly name: string;
  /** the property, in one line */
  readonly says: string;
  readonly arbitrary: fc.Arbitrary<T>;
  /**
   * @throws when the property does not hold
   * @returns names of states that were reached, where code coverage tells too little
   */
  readonly check: (input: T) => void | Iterable<string>;
  /** the input that a byte buffer is, for what reads bytes anyway */
  readonly fromBytes?: (bytes: Uint8Array) => T;
  /** how many random inputs make a test */
  readonly runs: number;
}

/** Hides the type of the input, which only the target itself knows. */
export function target<T>(definition: Target<T>): Target {
  return definition as unknown as Target;
}

/** What was claimed does not hold. */
export class PropertyError extends Error {
  override readonly name = 'PropertyError';
}

/** @throws PropertyError */
export function must(condition: boolean, claim: string | (() => string)): asserts condition {
  if (!condition) throw new PropertyError(typeof claim === 'string' ? claim : claim());
}

/** Both must be the same as data; `claim` says of what. */
export function mustEqual(actual: unknown, expected: unknown, claim: string): void {
  const [a, b] = [print(actual), print(expected)];
  if (a !== b) throw new PropertyError(`${claim}: ${shorten(a)} where ${shorten(b)} was expected`);
}

/** As a test does it. @throws with the smallest input found that breaks the property, and the seed */
export function runTarget(subject: Target, options: { readonly seed?: number; readonly runs?: number } = {}): void {
  fc.assert(
    fc.property(subject.arbitrary, (input) => void subject.check(input)),
    { numRuns: options.runs ?? subject.runs, ...(options.seed === undefined ? {} : { seed: options.seed }) },
  );
}

/** The input that a byte buffer stands for, and what fast-check needs to make it smaller. */
export function inputOf(subject: Target, bytes: Uint8Array): fc.Value<unknown> {
  if (subject.fromBytes !== undefined) return new fc.Value(subject.fromBytes(bytes), undefined);
  return generate(subject.arbitrary, bytes).value;
}

/** The entry for whoever has nothing but bytes. */
export function runBytes(subject: Target, bytes: Uint8Array): Iterable<string> {
  return subject.check(inputOf(subject, bytes).value) ?? [];
}

/** Data as text in which equal data are equal, bytes in hexadecimal. */
function print(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (part instanceof Uint8Array) return `bytes ${hex(part)}`;
    if (typeof part === 'bigint') return `${part}n`;
    if (typeof part === 'number' && !Number.isFinite(part)) return String(part);
    if (part instanceof Map) return [...part];
    return part === undefined ? 'undefined' : part;
  });
}

export function hex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += byte.toString(16).padStart(2, '0');
  return out;
}

function shorten(text: string): string {
  return text.length > 400 ? `${text.slice(0, 400)}… (${text.length} characters)` : text;
}
