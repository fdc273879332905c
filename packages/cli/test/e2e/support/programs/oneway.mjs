/**
 * Two ends of one connection, of which one sends.
 *
 *   node oneway.mjs listen|connect ADDRESS PORT send|receive BYTES
 *
 * The receiver checks every byte and says so to the sender; then both print `done` and stay connected until they are killed.
 */
import { once } from 'node:events';
import net from 'node:net';

const [how, host, port, what, size] = process.argv.slice(2);
const BYTES = Number(size);
/** Not a multiple of anything that packets are cut at; byte i of the stream is byte i of the row of these. */
const CHUNK = Buffer.from(Array.from({ length: 99_991 }, (_, i) => (i * 167 + (i >>> 8) * 13) & 0xff));

async function socketOf() {
  if (how === 'connect') {
    const socket = net.connect({ host, port: Number(port) });
    await once(socket, 'connect');
    return socket;
  }
  const server = net.createServer().listen(Number(port), host);
  await once(server, 'listening');
  console.log('listening');
  const [socket] = await once(server, 'connection');
  return socket;
}

const socket = await socketOf();
socket.on('error', (error) => {
  console.log(`failed: ${error.message}`);
  process.exit(1);
});
if (what === 'send') {
  for (let left = BYTES; left > 0; left -= CHUNK.length) {
    if (!socket.write(CHUNK.subarray(0, Math.min(left, CHUNK.length)))) await once(socket, 'drain');
  }
  await once(socket, 'data');
} else {
  let received = 0;
  for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
    for (let at = 0; at < bytes.length;) {
      const begin = (received + at) % CHUNK.length;
      const length = Math.min(bytes.length - at, CHUNK.length - begin);
      if (CHUNK.compare(bytes, at, at + length, begin, begin + length) !== 0)
        throw new Error(`wrong after ${received + at} bytes`);
      at += length;
    }
    received += bytes.length;
    if (received >= BYTES) break;
  }
  socket.write('k');
}
console.log('done');
