import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Readable } from 'node:stream';
import type { Scope } from './scope.js';

const CHUNK = 64 * 1024;

/** So many bytes of a kind of their own: every piece of 64 KiB begins with its number. */
export function* content(bytes: number): Generator<Buffer> {
  for (let at = 0, n = 0; at < bytes; at += CHUNK, n++) {
    const chunk = Buffer.alloc(Math.min(CHUNK, bytes - at), `piece ${n} `);
    yield chunk;
  }
}

export function contentStream(bytes: number): Readable {
  return Readable.from(content(bytes), { objectMode: false, highWaterMark: 4 * CHUNK });
}

export function contentHash(bytes: number): string {
  const hash = createHash('sha256');
  for (const chunk of content(bytes)) hash.update(chunk);
  return hash.digest('hex');
}

/** A web server on loopback: GET /N gives N bytes, POST and PUT answer with the SHA-256 of what was sent. @returns its port */
export async function webOrigin(scope: Scope): Promise<number> {
  const server = http.createServer((request, response) => {
    if (request.method === 'GET') {
      const bytes = Number(request.url!.slice(1));
      response.setHeader('content-length', bytes);
      contentStream(bytes).pipe(response);
      return;
    }
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')));
  });
  scope.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  return listening(server);
}

/** A TCP server on loopback. @returns its port */
export async function tcpOrigin(scope: Scope, serve: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    serve(socket);
  });
  scope.defer(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return listening(server);
}

/** A UDP server on loopback: answers with what it heard. @returns its port */
export async function datagramOrigin(scope: Scope): Promise<number> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, { port, address }) => socket.send(`heard ${bytes.toString()}`, port, address));
  scope.defer(() => void socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket.address().port;
}

async function listening(server: net.Server): Promise<number> {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 2_048 });
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}
