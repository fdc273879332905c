import { openSync, writeSync } from 'node:fs';
import { WirestreamError } from '@wirestream/core/device/errors';

/**
 * A writer that appends to a Wireshark key log which only its owner can read. The file stays open for as long as the process runs.
 * @throws WirestreamError key-log
 */
export function keyLogTo(path: string): (lines: string) => void {
  let fd: number;
  try {
    fd = openSync(path, 'a', 0o600);
  } catch (error) {
    throw new WirestreamError('key-log', `cannot write the key log ${path}: ${(error as Error).message}`);
  }
  return (lines) => void writeSync(fd, lines);
}
