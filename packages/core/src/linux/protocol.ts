import { isWirestreamError, WirestreamError } from '../device/errors.js';
import type { DeviceSettings } from '../device/settings.js';
import type { DeviceSnapshot } from '../device/snapshot.js';
import type { TapOptions } from '../capture/live/encoder.js';
import type { PackedSettings } from './packedsettings.js';
import type { TunOffload } from './tun.js';

/** What the main thread and the engine thread say to each other. All of it is plain data. */

export interface EngineStart {
  /** the interface to create; a `%d` is replaced by a number */
  readonly name: string;
  /** whether to ask the kernel for TUN offload */
  readonly offload: boolean;
  /** a TUN that is open already (WG_TUN_FD); the engine takes it over */
  readonly tunFd?: number;
  /** of the interface, bytes; setting it there is the caller's */
  readonly mtu: number;
  /** what the device begins with; `listenPort` 0 or absent: any */
  readonly settings: DeviceSettings;
}

/** What came of the start. */
export interface EngineInfo {
  readonly name: string;
  readonly listenPort: number;
  /** what the kernel grants */
  readonly offload: TunOffload;
  /** which cryptographic provider is in use, and why */
  readonly crypto: string;
}

export interface EngineWorkerData {
  readonly start: EngineStart;
  /** an eventfd, signalled after each command; the main thread's to close */
  readonly wakeFd: number;
  /** whether to send the lines of a key log */
  readonly keyLog: boolean;
}

export type EngineCommand =
  | { readonly id: number; readonly do: 'configure'; readonly packed: PackedSettings }
  | { readonly id: number; readonly do: 'snapshot' }
  /** begin to write what happens into this ring; ended by its number */
  | { readonly id: number; readonly do: 'capture'; readonly memory: SharedArrayBuffer; readonly options: TapOptions }
  | { readonly id: number; readonly do: 'uncapture'; readonly capture: number }
  | { readonly id: number; readonly do: 'stop' };

export type EngineMessage =
  | { readonly type: 'ready'; readonly info: EngineInfo }
  /** lines of a Wireshark key log */
  | { readonly type: 'keys'; readonly lines: string }
  /** there is something in the ring of that capture again */
  | { readonly type: 'captured'; readonly capture: number }
  | { readonly type: 'reply'; readonly id: number; readonly snapshot?: DeviceSnapshot; readonly error?: PlainError }
  /** the last word: everything is closed. Null after `stop`. */
  | { readonly type: 'ended'; readonly error: PlainError | null };

/** An error as it crosses from thread to thread, where classes are lost. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

export function plainError(error: unknown): PlainError {
  if (isWirestreamError(error)) {
    const { code, message, hint } = error;
    return hint === undefined ? { code, message } : { code, message, hint };
  }
  // A mistake of ours: the place where it happened is what helps.
  return { code: 'internal', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

export function revived({ code, message, hint }: PlainError): WirestreamError {
  return new WirestreamError(code, message, hint);
}
