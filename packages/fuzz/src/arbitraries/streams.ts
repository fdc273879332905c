import fc from 'fast-check';
import { concat, noise } from './bytes.js';
import { nearlyMessage } from './messages.js';
import { headerBytes, record, writeRecord, type RecordShape } from './records.js';

/** Byte streams of records with damage in between, of which it is known what is whole. */

export type StreamPart =
  | { readonly kind: 'record'; readonly record: RecordShape }
  | { readonly kind: 'garbage'; readonly length: number; readonly seed: number; readonly fill: 'noise' | 'a5' | 'zero' }
  /** the beginning of a record */
  | { readonly kind: 'torn'; readonly record: RecordShape; readonly keep: number }
  /** a record with some bytes missing from its middle */
  | { readonly kind: 'hole'; readonly record: RecordShape; readonly at: number; readonly length: number }
  /** a header with a right checksum and nothing, or something else, behind it */
  | { readonly kind: 'promise'; readonly length: number; readonly type: number; readonly flags: number }
  /** a record around what is no message */
  | { readonly kind: 'odd'; readonly message: Uint8Array };

const good = record.map((shape): StreamPart => ({ kind: 'record', record: shape }));
const bad: fc.Arbitrary<StreamPart> = fc.oneof(
  fc.record({
    kind: fc.constant('garbage' as const),
    length: fc.integer({ min: 1, max: 300 }),
    seed: fc.nat(),
    fill: fc.constantFrom('noise', 'a5', 'zero'),
  }),
  fc.record({ kind: fc.constant('torn' as const), record, keep: fc.integer({ min: 1, max: 60 }) }),
  fc.record({
    kind: fc.constant('hole' as const),
    record,
    at: fc.nat({ max: 40 }),
    length: fc.integer({ min: 1, max: 40 }),
  }),
  fc.record({
    kind: fc.constant('promise' as const),
    length: fc.oneof(
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 65_500, max: 65_560 }),
      fc.constantFrom(39, 40, 43, 44, 65_543, 65_544, 0x10000, 0xffff_ffff),
    ),
    type: fc.constantFrom(0, 0, 0, 1, 255),
    flags: fc.constantFrom(0, 0, 1, 2, 3, 255),
  }),
  fc.record({ kind: fc.constant('odd' as const), message: nearlyMessage }),
);

/** Only records, end to end. */
export const cleanStream: fc.Arbitrary<StreamPart[]> = fc.array(good, { maxLength: 12, size: 'max' });

/** Records and anything else. */
export const damagedStream: fc.Arbitrary<StreamPart[]> = fc.array(
  fc.oneof({ weight: 3, arbitrary: good }, { weight: 2, arbitrary: bad }),
  { maxLength: 14, size: 'max' },
);

export function partBytes(part: StreamPart): Uint8Array {
  switch (part.kind) {
    case 'record':
      return writeRecord(part.record);
    case 'garbage':
      return part.fill === 'noise'
        ? noise(part.length, part.seed)
        : new Uint8Array(part.length).fill(part.fill === 'a5' ? 0xa5 : 0);
    case 'torn':
      return writeRecord(part.record).slice(0, part.keep);
    case 'hole': {
      const whole = writeRecord(part.record);
      const from = Math.min(part.at, whole.length);
      return concat([whole.subarray(0, from), whole.subarray(from + part.length)]);
    }
    case 'promise':
      return headerBytes(part.length, part.type, part.flags);
    case 'odd': {
      return concat([headerBytes(8 + part.message.length, 0, 0), part.message]);
    }
  }
}

export interface BuiltStream {
  readonly bytes: Uint8Array;
  /** where the whole records begin, and their messages */
  readonly whole: { readonly at: number; readonly message: Uint8Array }[];
}

export function buildStream(parts: readonly StreamPart[]): BuiltStream {
  const pieces = parts.map(partBytes);
  const whole: { at: number; message: Uint8Array }[] = [];
  let at = 0;
  parts.forEach((part, i) => {
    if (part.kind === 'record') whole.push({ at, message: part.record.message });
    at += pieces[i]!.length;
  });
  return { bytes: concat(pieces), whole };
}
