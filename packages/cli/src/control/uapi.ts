import type { Socket } from 'node:net';
import { GET_REQUEST } from '@wirestream/core/uapi/request';
import { REPLY_MAX, isWholeReply, parseReply } from '@wirestream/core/uapi/reply';
import { UapiSession, type UapiBackend } from '@wirestream/core/uapi/session';
import { ERRNO, UapiError } from '@wirestream/core/uapi/uapi';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { interfaceIndex } from './zones.js';
import { open } from './socket.js';

/** Serves the configuration protocol on one connection until the client has had enough. */
export async function serveUapi(socket: Socket, backend: UapiBackend): Promise<void> {
  const session = new UapiSession(backend, (text) => write(socket, text), interfaceIndex);
  // The loop reads no further chunk before the one at hand is done, which keeps hasty clients in check.
  for await (const chunk of socket) {
    if (!(await session.receive(chunk as Uint8Array))) return;
  }
}

/** Writes, and waits until the client has taken it. */
export async function write(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * Reads the device behind a configuration socket, ours or another implementation's.
 * @throws UapiError, or the system's error
 */
export async function readUapi(path: string): Promise<DeviceSnapshot> {
  const socket = await open(path);
  try {
    await write(socket, GET_REQUEST);
    socket.setEncoding('latin1');
    let text = '';
    for await (const chunk of socket) {
      text += chunk as string;
      if (text.length > REPLY_MAX) throw new UapiError(ERRNO.protocol, 'reply without end');
      if (isWholeReply(text)) break;
    }
    return parseReply(text, interfaceIndex);
  } finally {
    socket.destroy();
  }
}
