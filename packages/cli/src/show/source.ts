import { readdirSync } from 'node:fs';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { isWirestreamError, WirestreamError } from '@wirestream/core/device/errors';
import { isInterfaceName } from '@wirestream/core/config/names';
import { UapiError } from '@wirestream/core/uapi/uapi';
import { ControlClient } from '../control/control.js';
import { controlSocket, uapiSocket, type RunPaths } from '../control/paths.js';
import { probeSocket } from '../control/socket.js';
import { socketTrouble } from '../control/trouble.js';
import { readUapi } from '../control/uapi.js';
import { interfaceName } from '../control/zones.js';
import { publicKeyOf } from '../keys.js';
import type { ShownDevice } from './device.js';
import { isKernelDevice, kernelDevices, readKernelDevice } from './kernel.js';

/** The names of all tunnels that somebody serves, ours and other implementations', the kernel's included, sorted. */
export async function listDevices(paths: RunPaths): Promise<string[]> {
  const names = new Set(kernelDevices());
  for (const dir of [paths.uapiDir, paths.runDir]) {
    for (const file of filesOf(dir)) {
      const name = file.endsWith('.sock') ? file.slice(0, -'.sock'.length) : '';
      if (!isInterfaceName(name) || names.has(name)) continue;
      const state = await probeSocket(`${dir}/${file}`).catch(() => 'none');
      if (state === 'live') names.add(name);
    }
  }
  return [...names].sort();
}

function filesOf(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/**
 * Asks our daemon, if it is one of ours, else whoever serves the configuration protocol under that name, else the kernel.
 * @throws WirestreamError no-such-device, device-unreadable, no-wg
 */
export async function readDevice(name: string, paths: RunPaths): Promise<ShownDevice> {
  try {
    const device = (await fromControl(name, paths)) ?? (await fromOthers(name, paths));
    const { privateKey, publicKey } = device;
    return {
      name,
      device: { ...device, publicKey: publicKey ?? (privateKey === null ? null : publicKeyOf(privateKey)) },
      interfaceName,
    };
  } catch (error) {
    throw explain(error, name);
  }
}

/** Null when no daemon of ours serves that name. */
async function fromControl(name: string, paths: RunPaths): Promise<DeviceSnapshot | null> {
  let client: ControlClient;
  try {
    client = await ControlClient.open(controlSocket(paths, name));
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
  try {
    return await client.snapshot();
  } finally {
    client.close();
  }
}

async function fromOthers(name: string, paths: RunPaths): Promise<DeviceSnapshot> {
  try {
    return await readUapi(uapiSocket(paths, name));
  } catch (error) {
    if (!isKernelDevice(name)) throw error;
    return readKernelDevice(name);
  }
}

function explain(error: unknown, name: string): unknown {
  if (isWirestreamError(error)) return error;
  const what = `Unable to access interface ${name}`;
  if (error instanceof UapiError) return new WirestreamError('device-unreadable', `${what}: ${error.message}`);
  return socketTrouble(error, what);
}
