import { WirestreamError } from '@wirestream/core/device/errors';

/**
 * Why a tunnel's socket cannot be used, for people; anything but an error of the system is given back as it is.
 * @param what cannot be done, as wg(8) says it
 */
export function socketTrouble(error: unknown, what: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case undefined:
      return error;
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new WirestreamError(
        'no-such-device',
        `${what}: No such device`,
        'wirestream show interfaces lists what there is',
      );
    case 'EACCES':
    case 'EPERM':
      return new WirestreamError(
        'device-unreadable',
        `${what}: Operation not permitted`,
        'run it as the user who brought it up',
      );
    default:
      return new WirestreamError('device-unreadable', `${what}: ${message}`);
  }
}
