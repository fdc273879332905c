import { WirestreamError } from '@wirestream/core/device/errors';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import { ERRNO, UapiError } from '@wirestream/core/uapi/uapi';
import { isKernelDevice } from '../show/kernel.js';
import { uapiSocket, type RunPaths } from './paths.js';
import { socketTrouble } from './trouble.js';
import { changeUapi } from './uapi.js';

/** What the numbers mean that a device refuses a change with (errno(3)), and what to do. */
const REASONS: Readonly<Record<number, readonly [reason: string, hint?: string]>> = {
  [ERRNO.portInUse]: ['Address already in use', 'choose another listen-port, or end what has it: ss -lntup'],
  [ERRNO.invalid]: ['Invalid argument'],
  [ERRNO.io]: ['Input/output error', 'the log of the daemon may say more'],
  [ERRNO.protocol]: ['Protocol error'],
};

/**
 * Changes the running device `name`, ours or another implementation's.
 * @throws WirestreamError no-such-device, device-unreadable, device-refused
 */
export async function modifyDevice(name: string, paths: RunPaths, settings: DeviceSettings): Promise<void> {
  try {
    await changeUapi(uapiSocket(paths, name), settings);
  } catch (error) {
    throw explain(error, name, settings);
  }
}

function explain(error: unknown, name: string, settings: DeviceSettings): unknown {
  const what = `Unable to modify interface ${name}`;
  if (error instanceof UapiError) {
    const [reason, hint] = REASONS[error.errno] ?? [`Unknown error (errno ${error.errno})`];
    const foreign = error.errno === ERRNO.invalid && namesOurs(settings);
    return new WirestreamError(
      'device-refused',
      `${what}: ${reason}`,
      foreign ? 'only tunnels of wirestream know transport and extensions; is this one?' : hint,
    );
  }
  if ((error as NodeJS.ErrnoException).code === 'ENOENT' && isKernelDevice(name)) {
    return new WirestreamError('kernel-device', `${what}: it is the kernel's own`, 'wg changes those');
  }
  return socketTrouble(error, what);
}

function namesOurs({ transport, extensions, peers }: DeviceSettings): boolean {
  return [{ transport, extensions }, ...peers].some(
    (part) => part.transport !== undefined || part.extensions !== undefined,
  );
}
