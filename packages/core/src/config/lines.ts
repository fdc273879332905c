import { WirestreamError } from '../device/errors.js';

/** Longest file: many times the 65 000 allowed IPs that people configure. Characters. */
export const FILE_MAX = 16 << 20;

/** What may be the name of a key: never long enough to be the text of a secret. */
const KEY_NAME = /^[A-Za-z][A-Za-z0-9_ -]{0,31}$/;

/** Where something stands in a file: who can complain about it. */
export class Place {
  constructor(
    readonly file: string,
    /** counted from 1 */
    readonly line: number,
    readonly warnings: string[],
  ) {}

  error(code: string, message: string, hint?: string): WirestreamError {
    return new WirestreamError(code, `${this.file}:${this.line}: ${message}`, hint);
  }

  warn(message: string): void {
    this.warnings.push(`${this.file}:${this.line}: ${message}`);
  }
}

/** A line that says something: the head of a section, or a key and its value. */
export type Line =
  | { readonly place: Place; readonly section: string }
  | { readonly place: Place; readonly key: string; readonly value: string };

/**
 * The lines of a file without comments and white space around keys and values.
 * @throws WirestreamError config-syntax, config-too-large
 */
export function* readLines(text: string, file: string, warnings: string[]): Generator<Line> {
  if (text.length > FILE_MAX) {
    throw new WirestreamError(
      'config-too-large',
      `${file}: larger than ${FILE_MAX >> 20} MiB`,
      'is this a wg-quick file?',
    );
  }
  let number = 0;
  // A byte order mark, which some editors leave, is not part of the first line.
  for (const raw of text.replace(/^\ufeff/, '').split('\n')) {
    const place = new Place(file, ++number, warnings);
    const line = raw.replace(/#.*$/s, '').trim();
    if (line === '') continue;
    // eslint-disable-next-line no-control-regex
    if (/[\0-\x08\x0e-\x1f\ufffd]/.test(line)) {
      throw place.error('config-syntax', 'not text', 'is this a wg-quick file?');
    }
    const section = /^\[\s*([^\]]*?)\s*\]$/.exec(line);
    if (section !== null) {
      yield { place, section: section[1]! };
      continue;
    }
    const equals = line.indexOf('=');
    const key = equals < 0 ? '' : line.slice(0, equals).trim();
    // The line itself is not shown: it may be a secret that someone put at the wrong place.
    if (!KEY_NAME.test(key)) {
      throw place.error('config-syntax', 'neither a section nor KEY = VALUE', 'comments start with #');
    }
    yield { place, key, value: line.slice(equals + 1).trim() };
  }
}
