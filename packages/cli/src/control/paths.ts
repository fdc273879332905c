import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WirestreamError } from '@wirestream/core/device/errors';

/**
 * Where a running tunnel can be found. As root the configuration sockets are where wg(8) looks for them; without root
 * everything is in a directory of the user's own.
 */
export interface RunPaths {
  /** configuration protocol sockets, NAME.sock */
  readonly uapiDir: string;
  /** our own: control sockets NAME.sock, and what was set up, NAME.json */
  readonly runDir: string;
}

/** @param env WIRESTREAM_RUN_DIR puts everything elsewhere; XDG_RUNTIME_DIR is the user's own directory */
export function runPaths(env: NodeJS.ProcessEnv = process.env, uid: number = process.getuid?.() ?? -1): RunPaths {
  const own = env['WIRESTREAM_RUN_DIR'];
  if (own !== undefined && own !== '') return { runDir: own, uapiDir: join(own, 'wireguard') };
  if (uid === 0) return { runDir: '/var/run/wirestream', uapiDir: '/var/run/wireguard' };
  const xdg = env['XDG_RUNTIME_DIR'];
  const runDir = xdg !== undefined && xdg !== '' ? join(xdg, 'wirestream') : `/tmp/wirestream-${uid}`;
  return { runDir, uapiDir: join(runDir, 'wireguard') };
}

export const uapiSocket = (paths: RunPaths, name: string): string => join(paths.uapiDir, `${name}.sock`);
export const controlSocket = (paths: RunPaths, name: string): string => join(paths.runDir, `${name}.sock`);
export const stateFile = (paths: RunPaths, name: string): string => join(paths.runDir, `${name}.json`);

const OWN_DIR = 'run it as root, or set WIRESTREAM_RUN_DIR to a directory of your own';

/**
 * Makes the directory of `path`, for its owner only, and makes sure that nobody else could have put it there or can
 * replace what is in it: anyone may create names in /tmp.
 * @throws WirestreamError no-directory, unsafe-directory
 */
export function makePrivateDir(path: string): void {
  const dir = dirname(path);
  const failed = (error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    return new WirestreamError('no-directory', `${dir}: cannot be made: ${code}`, OWN_DIR);
  };
  try {
    mkdirSync(dirname(dir), { recursive: true });
  } catch (error) {
    throw failed(error);
  }
  try {
    mkdirSync(dir, { mode: 0o700 });
    // The umask takes bits away only; what is left of 0700 under an odd one must still let us in.
    chmodSync(dir, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw failed(error);
  }
  const stat = lstatSync(dir);
  const uid = process.getuid?.() ?? stat.uid;
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o022) !== 0) {
    throw new WirestreamError('unsafe-directory', `${dir}: not a directory that only you can write to`, OWN_DIR);
  }
}
