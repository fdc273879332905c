import type { ConnectFailure } from '../../userspace/native.js';

/** What went wrong with a native socket, as the inner side should learn it. */
export function failureOf(error: NodeJS.ErrnoException): ConnectFailure {
  switch (error.code) {
    case 'ECONNREFUSED':
    case 'ECONNRESET':
      return 'refused';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'EACCES':
    case 'EPERM':
      return 'prohibited';
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'ENOMEM':
      return 'no-resources';
    default:
      return 'unreachable';
  }
}

const CODES: Record<ConnectFailure, readonly [string, string]> = {
  refused: ['ECONNREFUSED', 'connection refused'],
  unreachable: ['EHOSTUNREACH', 'no peer has this address, or it cannot reach it'],
  prohibited: ['EACCES', 'the other end does not allow it'],
  timeout: ['ETIMEDOUT', 'no answer'],
  'no-resources': ['EAGAIN', 'too many connections'],
};

/** A failed connection as Node programs expect to see it. */
export function connectError(failure: ConnectFailure, host: string, port: number): NodeJS.ErrnoException {
  const [code, text] = CODES[failure];
  return Object.assign(new Error(`connect ${code} ${host}:${port}: ${text}`), {
    code,
    syscall: 'connect',
    address: host,
    port,
  });
}
