import { isWirestreamError, WirestreamError } from '@wirestream/core/device/errors';

/** What goes wrong with files, in words; everything else stays as it is. */
export function fileError(error: unknown, file: string): unknown {
  if (isWirestreamError(error)) return error;
  const { code } = error as NodeJS.ErrnoException;
  const said = code === undefined ? undefined : WORDS[code];
  if (said === undefined) return error;
  return new WirestreamError('file-unreadable', `${file}: ${said[0]}`, said[1]);
}

const WORDS: Record<string, [string, string?]> = {
  ENOENT: ['no such file'],
  EACCES: ['permission denied'],
  EPERM: ['permission denied'],
  EISDIR: ['is a directory', 'give a capture file, or - for standard input'],
  ENOTDIR: ['part of the path is no directory'],
  EEXIST: ['is no directory'],
  EROFS: ['the file system is read-only'],
  ENOSPC: ['no space left on the device'],
  EMFILE: ['too many open files'],
};

/** Puts the name of the file in front of what a reader found wrong with it. */
export function named(error: unknown, file: string): unknown {
  // What could not be written names the file that it was to be written to.
  if (!isWirestreamError(error) || error.code === 'file-unreadable' || error.message.startsWith(`${file}: `))
    return error;
  return new WirestreamError(error.code, `${file}: ${error.message}`, error.hint);
}
