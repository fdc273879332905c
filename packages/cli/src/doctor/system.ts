import { existsSync, readFileSync } from 'node:fs';
import type { CryptoChoice } from '@wirestream/core/linux/choosecrypto';
import type { TunAbilities, UdpAbilities } from '@wirestream/core/linux/abilities';
import type { Crypto } from '@wirestream/core/noise/crypto';
import type { Slab } from '@wirestream/core/slab/slab';
import { chooseDriver, type DriverChoice } from '../daemon/choose.js';
import { SystemShell, type Shell } from '../network/shell.js';

/** What doctor asks this machine. The tests put another one in its place. */
export interface System {
  readonly platform: string;
  readonly arch: string;
  readonly nodeVersion: string;
  readonly shell: Pick<Shell, 'has' | 'query'>;
  /** What `up` would choose by itself. */
  chooseDriver(): DriverChoice;
  exists(path: string): boolean;
  /** A file's text without white space around it; null when it cannot be read. */
  read(path: string): string | null;
  /** @throws Error when the native parts do not load here */
  native(): Promise<Native>;
}

/** What needs koffi. */
export interface Native {
  readonly koffiVersion: string;
  /** in the order in which they are tried */
  readonly providers: readonly Crypto[];
  makeSlab(size: number): Slab;
  chooseCrypto(): CryptoChoice;
  /** @throws WirestreamError as openTun */
  tunAbilities(): TunAbilities;
  /** @throws Error when there are no UDP sockets */
  udpAbilities(): UdpAbilities;
  ipv6Obstacle(): string | null;
}

export const thisSystem: System = {
  platform: process.platform,
  arch: process.arch,
  nodeVersion: process.versions.node,
  shell: new SystemShell(() => undefined),
  chooseDriver: () => chooseDriver(undefined),
  exists: existsSync,
  read(path) {
    try {
      return readFileSync(path, 'utf8').trim();
    } catch {
      return null;
    }
  },
  async native() {
    const [
      abilities,
      { chachaPolyCrypto, chooseCrypto, evpCrypto },
      { nativeCrypto },
      { portableCrypto },
      { nativeSlab },
    ] = await Promise.all([
      import('@wirestream/core/linux/abilities'),
      import('@wirestream/core/linux/choosecrypto'),
      import('@wirestream/core/noise/native'),
      import('@wirestream/core/noise/portable'),
      import('@wirestream/core/linux/nativeslab'),
    ]);
    return {
      ...abilities,
      providers: [chachaPolyCrypto, evpCrypto, nativeCrypto, portableCrypto],
      makeSlab: nativeSlab,
      chooseCrypto,
    };
  },
};
