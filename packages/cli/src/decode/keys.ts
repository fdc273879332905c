import { open } from 'node:fs/promises';
import { parseKeys, type KnownKeys } from '@wirestream/core/capture/keys';
import { WirestreamError } from '@wirestream/core/device/errors';
import { fileError } from './errors.js';

/** No file of keys is longer, bytes. */
const KEYS_FILE_MAX = 16 << 20;

/** @throws WirestreamError when a file cannot be read or holds no keys */
export async function loadKeys(files: readonly string[]): Promise<KnownKeys[]> {
  return Promise.all(files.map(async (file) => parseKeys(await readBounded(file), file)));
}

async function readBounded(file: string): Promise<string> {
  let handle;
  try {
    handle = await open(file, 'r');
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of handle.createReadStream({ autoClose: false }) as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > KEYS_FILE_MAX) {
        throw new WirestreamError(
          'keys-too-large',
          `${file}: larger than ${KEYS_FILE_MAX >> 20} MiB`,
          'is this a file of keys?',
        );
      }
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    throw fileError(error, file);
  } finally {
    await handle?.close();
  }
}
