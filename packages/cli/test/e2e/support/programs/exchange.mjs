/**
 * Two ends of connections that both send at once, and check what they hear.
 *
 *   node exchange.mjs serve ADDRESS PORT BYTES
 *   node exchange.mjs meet ADDRESS PORT BYTES COUNT
 *
 * Each end sends BYTES bytes of a kind of its own, says that it is done, and reads to the other's end. For every connection it prints a line of JSON:
 * { received, wrongAt, error }, wrongAt being the first byte that is not the other's (-1: none).
 */
import net from 'node:net';
import { once } from 'node:events';

const [what, host, port, size, count] = process.argv.slice(2);
const BYTES = Number(size);
const CHUNK = 10_007;

/** Byte number `i` of an end's stream. */
const byteAt = (side, i) => (i * 167 + (i >>> 8) * 13 + (i >>> 16) * 7 + side * 85) & 0xff;

function* content(side) {
  for (let at = 0; at < BYTES; at += CHUNK) {
    const chunk = Buffer.alloc(Math.min(CHUNK, BYTES - at));
    for (let i = 0; i < chunk.length; i++) chunk[i] = byteAt(side, at + i);
    yield chunk;
  }
}

async function send(socket, side) {
  for (const chunk of content(side)) if (!socket.write(chunk)) await once(socket, 'drain');
  socket.end();
}

async function converse(socket, side) {
  const report = { received: 0, wrongAt: -1, error: null };
  socket.on('error', ({ code }) => (report.error ??= code));
  socket.on('data', (bytes) => {
    for (const byte of bytes) {
      if (byte !== byteAt(1 - side, report.received) && report.wrongAt < 0) report.wrongAt = report.received;
      report.received++;
    }
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  send(socket, side).catch(({ code, message }) => (report.error ??= code ?? message));
  await closed;
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

if (what === 'serve') {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => void converse(socket, 1));
  server.listen(Number(port), host, () => process.stdout.write('serving\n'));
} else {
  const meet = () => converse(net.connect({ host, port: Number(port), allowHalfOpen: true }), 0);
  await Promise.all(Array.from({ length: Number(count) }, meet));
}
