import { isWirestreamError, WirestreamError } from '@wirestream/core/device/errors';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { RunPaths } from '../control/paths.js';
import type { DriverName, HostOptions } from './host.js';

/** What the command and the daemon that it starts say to each other, until the command leaves the daemon alone. */
export interface Job {
  readonly driver: DriverName;
  readonly host: HostOptions;
  readonly paths: RunPaths;
  readonly version: string;
}

export type ToDaemon =
  | { readonly type: 'start'; readonly job: Job }
  | { readonly type: 'configure'; readonly settings: DeviceSettings }
  /** stay when the command is gone */
  | { readonly type: 'keep' }
  | { readonly type: 'stop' };

export type FromDaemon =
  /** the answer to each of the above but `stop`, in turn */
  { readonly type: 'done' } | { readonly type: 'failed'; readonly error: PlainError };

/** An error that survives being sent to another process. */
export interface PlainError {
  readonly code: string | null;
  readonly message: string;
  readonly hint: string | null;
}

export function plainError(error: unknown): PlainError {
  if (isWirestreamError(error)) return { code: error.code, message: error.message, hint: error.hint ?? null };
  const message = error instanceof Error ? error.message : String(error);
  return { code: null, message, hint: null };
}

export function errorOf({ code, message, hint }: PlainError): Error {
  return code === null ? new Error(message) : new WirestreamError(code, message, hint ?? undefined);
}
