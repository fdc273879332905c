import type { Socket } from 'node:net';
import { GET_REQUEST, formatSet } from '@wirestream/core/uapi/request';
import { REPLY_MAX, isWholeReply, parseReply } from '@wirestream/core/uapi/reply';
import { UapiSession, type UapiBackend } from '@wirestream/core/uapi/session';
import { ERRNO, UapiError } from '@wirestream/core/uapi/uapi';
import type { DeviceSettings } from '@wirestream/core/device/settings';
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
  return parseReply(await request(path, GET_REQUEST), interfaceIndex);
}

/**
 * Changes the device behind a configuration socket.
 * @throws UapiError with the number that was answered, or the system's error
 */
export async function changeUapi(path: string, settings: DeviceSettings): Promise<void> {
  parseReply(await request(path, formatSet(settings)));
}

/** Sends one request; resolves with the whole reply. */
async function request(path: string, text: string): Promise<string> {
  const socket = await open(path);
  try {
    await write(socket, text);
    socket.setEncoding('latin1');
    let reply = '';
    for await (const chunk of socket) {
      reply += chunk as string;
      if (reply.length > REPLY_MAX) throw new UapiError(ERRNO.protocol, 'reply without end');
      if (isWholeReply(reply)) break;
    }
    return reply;
  } finally {
    socket.destroy();
  }
}
