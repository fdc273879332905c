import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { FILE_MAX } from '@wirestream/core/config/lines';
import { interfaceNameOf, isInterfaceName } from '@wirestream/core/config/names';
import { parseConfig, type ParsedConfig } from '@wirestream/core/config/parse';
import { WirestreamError } from '@wirestream/core/device/errors';

/** Where the configuration of an interface NAME is, as for wg-quick(8). */
export const CONFIG_DIR = '/etc/wireguard';

export interface ConfigSource {
  /** the interface */
  readonly name: string;
  readonly path: string;
}

/**
 * What `up NAME|FILE` means: a file, when it ends with .conf and has a directory or exists; else an interface's file in
 * /etc/wireguard, as wg-quick has it.
 * @throws WirestreamError usage: neither a name nor a file of a proper name
 */
export function findConfig(nameOrFile: string, dir: string = CONFIG_DIR): ConfigSource {
  if (!nameOrFile.includes('/') && !nameOrFile.endsWith('.conf')) {
    if (isInterfaceName(nameOrFile)) return { name: nameOrFile, path: `${dir}/${nameOrFile}.conf` };
    throw badName(nameOrFile);
  }
  const name = interfaceNameOf(nameOrFile);
  if (name === null) throw badName(basename(nameOrFile));
  return { name, path: nameOrFile };
}

function badName(name: string): WirestreamError {
  return new WirestreamError(
    'usage',
    `'${name}' is neither an interface's name nor a file NAME.conf`,
    'names have 1 to 15 letters, digits or any of _ = + . -',
  );
}

/**
 * Reads and parses a configuration file. That others may read it is a warning.
 * @throws WirestreamError config-unreadable, and those of parseConfig
 */
export function loadConfig(path: string, requirePrivateKey = true): ParsedConfig {
  let text: string;
  let mode: number;
  try {
    const stat = statSync(path);
    if (stat.isFile() && stat.size > FILE_MAX) {
      throw new WirestreamError(
        'config-too-large',
        `${path}: larger than ${FILE_MAX >> 20} MiB`,
        'is this a wg-quick file?',
      );
    }
    mode = stat.mode;
    text = readFileSync(openable(path), 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
  const parsed = parseConfig(text, { file: path, requirePrivateKey });
  if ((mode & 0o007) === 0) return parsed;
  return {
    ...parsed,
    warnings: [`${path}: others can read it, and it holds secrets (chmod 600 ${path})`, ...parsed.warnings],
  };
}

function unreadable(path: string, error: unknown): unknown {
  const here = `./${basename(path)}`;
  const hints: Record<string, string> = {
    ENOENT: existsSync(here)
      ? `there is a ${here}: give it with its directory`
      : 'give the path of a file NAME.conf, or put the file into /etc/wireguard',
    EACCES: 'run it as the owner of the file, or as root',
    EISDIR: 'give the path of a file',
  };
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined || !/^E[A-Z]+$/.test(code)) return error;
  const reasons: Record<string, string> = {
    ENOENT: 'no such file',
    EACCES: 'permission denied',
    EISDIR: 'is a directory',
  };
  return new WirestreamError('config-unreadable', `${path}: ${reasons[code] ?? code}`, hints[code]);
}

/** Standard input by its descriptor: by its name it could not be opened when it is a socket. */
export function openable(path: string): string | 0 {
  return /^\/(?:dev\/stdin|dev\/fd\/0|proc\/self\/fd\/0)$/.test(path) ? 0 : path;
}
