import { createReadStream } from 'node:fs';
import { access, constants, open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { WirestreamError } from '@wirestream/core/device/errors';
import { fileError } from './errors.js';

/** How much is read at once, bytes. */
const CHUNK = 256 * 1024;
/** How often a file that is followed is looked at, ms. */
const LOOK = 100;
/** gzip (RFC 1952 §2.3.1). */
const GZIP = [0x1f, 0x8b];
/** Compressions that Node cannot undo, by their first bytes, and what can. */
const OTHERS = [
  { first: [0x28, 0xb5, 0x2f, 0xfd], name: 'zstd', tool: 'zstd -dc' },
  { first: [0xfd, 0x37, 0x7a, 0x58, 0x5a], name: 'xz', tool: 'xz -dc' },
  { first: [0x42, 0x5a, 0x68], name: 'bzip2', tool: 'bzip2 -dc' },
];

/** Sees to it that a mistyped name is told before any output is emptied. @throws WirestreamError when there is no such file, or it may not be read */
export async function readable(file: string): Promise<void> {
  try {
    await access(file, constants.R_OK);
  } catch (error) {
    throw fileError(error, file);
  }
}

/**
 * The bytes of a capture, in chunks: from a file, or from standard input for `-`; what gzip has compressed is
 * expanded on the way.
 * @throws WirestreamError when it cannot be read or expanded; what came before that has been given out
 */
export async function* readCapture(file: string, stdin: Readable = process.stdin): AsyncGenerator<Uint8Array> {
  const source = file === '-' ? stdin : createReadStream(file, { highWaterMark: CHUNK });
  try {
    const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    const head = await headOf(chunks);
    if (begins(head, GZIP)) yield* expand(file, follow(head, chunks));
    else {
      const other = OTHERS.find(({ first }) => begins(head, first));
      if (other !== undefined) {
        throw new WirestreamError(
          'capture-compressed',
          `${file}: compressed with ${other.name}`,
          `expand it on the way: ${other.tool} ${file} | wirestream decode -`,
        );
      }
      yield* follow(head, chunks);
    }
  } catch (error) {
    throw fileError(error, file);
  } finally {
    if (file !== '-') source.destroy();
  }
}

/**
 * The bytes of a capture that is still being written, until `stop`.
 * @throws WirestreamError when it cannot be read, is compressed, or becomes shorter
 */
export async function* followCapture(file: string, stop: AbortSignal): AsyncGenerator<Uint8Array> {
  let handle;
  try {
    handle = await open(file, 'r');
    for (let position = 0; ;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(CHUNK), 0, CHUNK, position);
      if (position === 0 && begins(buffer, GZIP)) {
        throw new WirestreamError('usage', `${file}: a compressed capture cannot be followed`, 'expand it first');
      }
      position += bytesRead;
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
      else if (stop.aborted) return;
      else if ((await handle.stat()).size < position) {
        throw new WirestreamError('capture-truncated', `${file}: has become shorter while it was followed`);
      } else await pause(LOOK, stop);
    }
  } catch (error) {
    throw fileError(error, file);
  } finally {
    await handle?.close();
  }
}

/** Waits, but not longer than until `stop`. */
async function pause(ms: number, stop: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal: stop }).catch(() => undefined);
}

/** The first chunks, until there are enough bytes to tell by. */
async function headOf(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let head = new Uint8Array(0);
  while (head.length < 6) {
    const { done, value } = await chunks.next();
    if (done === true) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

async function* follow(head: Uint8Array, chunks: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head;
  for (;;) {
    const { done, value } = await chunks.next();
    if (done === true) return;
    yield value;
  }
}

async function* expand(file: string, chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = Readable.from(chunks, { objectMode: false, highWaterMark: CHUNK });
  const gunzip = createGunzip({ chunkSize: CHUNK });
  source.on('error', (error) => gunzip.destroy(error));
  source.pipe(gunzip);
  try {
    yield* gunzip as AsyncIterable<Uint8Array>;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'Z_BUF_ERROR') {
      throw new WirestreamError(
        'capture-truncated',
        `${file}: the compressed capture is cut off`,
        'everything before that was read; copy the file again',
      );
    }
    if (typeof code === 'string' && code.startsWith('Z_')) {
      throw new WirestreamError('capture-damaged', `${file}: the compressed data is damaged`, 'copy the file again');
    }
    throw error;
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

function begins(bytes: Uint8Array, first: readonly number[]): boolean {
  return first.every((byte, i) => bytes[i] === byte);
}
