import { readFileSync, statSync } from 'node:fs';
import { parseKey } from '@wirestream/core/config/key';
import { WirestreamError } from '@wirestream/core/device/errors';
import { openable } from './load.js';
import { keyOrNull } from './words.js';

/** A key's text, and as much white space as anyone could want. Bytes. */
const KEY_FILE_MAX = 4096;
const KEY_CHARACTERS = 44;

/**
 * The key in a file, or in whatever /dev/stdin and its like lead to. Nothing in it, as in /dev/null, or zeros, is no key.
 * @param say takes the warning that others may read the file
 * @throws WirestreamError key-file, bad-key
 */
export function readKeyFile(path: string, say: (line: string) => void): Uint8Array | null {
  let text: string;
  try {
    const stat = statSync(path);
    if (stat.isFile() && (stat.mode & 0o007) !== 0) {
      say(`warning: ${path}: others can read it, and it holds a secret (chmod 600 ${path})`);
    }
    if (stat.isFile() && stat.size > KEY_FILE_MAX) throw bad(path, 'too long for a key file');
    text = readFileSync(openable(path), 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof WirestreamError || code === undefined) throw error;
    const reason = code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'permission denied' : code;
    throw new WirestreamError('key-file', `${path}: ${reason}`, 'give the path of a file that holds the key');
  }
  if (text === '') return null;
  if (text.length < KEY_CHARACTERS) throw bad(path, 'Invalid length key in key file');
  if (text.slice(KEY_CHARACTERS).trim() !== '') throw bad(path, 'Found trailing characters in key file');
  const key = parseKey(text.slice(0, KEY_CHARACTERS));
  if (key === null) throw bad(path, 'Key is not the correct length or format');
  return keyOrNull(key);
}

/** What is in the file is not shown: it may be a secret. */
function bad(path: string, what: string): WirestreamError {
  return new WirestreamError('bad-key', `${path}: ${what}`, 'a key is 44 characters of base64, as genkey prints it');
}
