import { randomBytes } from 'node:crypto';
import { fstatSync } from 'node:fs';
import { parseKey } from '@wirestream/core/config/key';
import { WirestreamError } from '@wirestream/core/device/errors';
import { KEY_LENGTH } from '@wirestream/core/noise/crypto';
import { nativeCrypto } from '@wirestream/core/noise/native';

/** A key's text (44), and as much behind it as anyone could want for white space. Bytes. */
const KEY_INPUT_MAX = 4096;

export function randomKey(): Uint8Array {
  return Uint8Array.from(randomBytes(KEY_LENGTH));
}

export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  return nativeCrypto.publicKey(privateKey);
}

/** Warns as wg(8) does when standard output is a file that others may read. */
export function warnIfReadable(): void {
  const stat = fstatSync(1);
  if (!stat.isFile() || (stat.mode & 0o007) === 0) return;
  process.stderr.write(
    'Warning: writing to world accessible file.\nConsider setting the umask to 077 and trying again.\n',
  );
}

/**
 * The one key that a stream consists of.
 * @throws WirestreamError bad-key
 */
export async function readKey(stream: AsyncIterable<Uint8Array | string>): Promise<Uint8Array> {
  let text = '';
  for await (const chunk of stream) {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1');
    if (text.length > KEY_INPUT_MAX) break;
  }
  const key = parseKey(text.slice(0, 44));
  if (key === null) {
    throw new WirestreamError(
      'bad-key',
      'Key is not the correct length or format',
      'a key is 44 characters of base64, as genkey prints it',
    );
  }
  if (text.slice(44).trim() !== '' || text.length > KEY_INPUT_MAX) {
    throw new WirestreamError('bad-key', 'Trailing characters found after key', 'give one key and nothing else');
  }
  return key;
}
