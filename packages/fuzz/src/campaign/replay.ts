import { readFileSync } from 'node:fs';
import { generate } from '../choices.js';
import type { Target } from '../target.js';
import { decodeValue } from '../values.js';

/** An input that once failed, as it is kept. */
export interface Regression {
  readonly target: string;
  /** what was wrong */
  readonly why: string;
  readonly input: unknown;
}

export function readRegression(file: string): Regression {
  return decodeValue(readFileSync(file, 'utf8')) as Regression;
}

/** Runs it again. @throws when the property does not hold */
export function replay(subject: Target, { input }: Regression): void {
  // What a worker left behind that never came back is bytes, not yet an input.
  const raw = input as { bytes?: Uint8Array; choices?: Uint8Array } | null;
  const isBytes = raw !== null && typeof raw === 'object' && Object.keys(raw).length === 1;
  if (isBytes && raw.choices instanceof Uint8Array) subject.check(generate(subject.arbitrary, raw.choices).value.value);
  else if (isBytes && raw.bytes instanceof Uint8Array && subject.fromBytes !== undefined)
    subject.check(subject.fromBytes(raw.bytes));
  else subject.check(input);
}

/** A file's bytes as they are, for targets that read bytes; else as a buffer of decisions. */
export function replayBytes(subject: Target, bytes: Uint8Array): void {
  subject.check(subject.fromBytes?.(bytes) ?? generate(subject.arbitrary, bytes).value.value);
}
