import { spawn } from 'node:child_process';
import { formatIp } from '../../address/ip.js';

/** Requests that may be waiting at a time: each is a process. */
const WAITING_MAX = 16;
/** seconds to wait for an answer */
const TIMEOUT_S = 3;
/** Longest payload that ping(8) takes. */
const DATA_MAX = 65_507;

/**
 * Echo requests to addresses outside the tunnel. Node has no ICMP sockets, and raw ones want privileges, so the system's ping command asks; it
 * has whatever right that needs. A host without it cannot be asked through.
 */
export class Echoes {
  #waiting = 0;
  #missing = false;

  /** @returns false when too many are waiting, or there is no ping command */
  ask(destination: Uint8Array, dataLength: number, answered: () => void): boolean {
    if (this.#missing || this.#waiting >= WAITING_MAX || dataLength > DATA_MAX) return false;
    this.#waiting++;
    const child = spawn('ping', pingArguments(destination, dataLength), { stdio: 'ignore', windowsHide: true });
    child.once('error', () => {
      this.#missing = true;
      this.#waiting--;
    });
    child.once('exit', (code) => {
      this.#waiting--;
      if (code === 0) answered();
    });
    return true;
  }
}

function pingArguments(destination: Uint8Array, dataLength: number): string[] {
  const address = formatIp(destination);
  if (process.platform === 'win32') return ['-n', '1', '-w', `${TIMEOUT_S * 1000}`, '-l', `${dataLength}`, address];
  if (process.platform === 'darwin') return ['-c', '1', '-t', `${TIMEOUT_S}`, '-s', `${dataLength}`, address];
  return ['-n', '-q', '-c', '1', '-W', `${TIMEOUT_S}`, '-s', `${dataLength}`, address];
}
