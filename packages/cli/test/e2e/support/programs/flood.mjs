/**
 * Datagrams from people nobody knows, at a steady rate until it is told to end; run in a network namespace of its own.
 *
 *   node flood.mjs JOB
 *
 * JOB is a JSON file: { host, port, perSecond, sources: [address], payloads: [base64] }. The report on SIGTERM, one line of JSON, says how
 * many went out, and how many datagrams of which length came back.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const payloads = job.payloads.map((text) => Buffer.from(text, 'base64'));
const report = { sent: 0, received: {} };

const sockets = job.sources.map((address) => {
  const socket = createSocket('udp4').bind(0, address);
  socket.on('message', ({ length }) => (report.received[length] = (report.received[length] ?? 0) + 1));
  socket.on('error', () => undefined);
  return socket;
});
await Promise.all(sockets.map((socket) => once(socket, 'listening')));

const start = performance.now();
setInterval(() => {
  const due = Math.floor(((performance.now() - start) / 1000) * job.perSecond);
  for (; report.sent < due; report.sent++) {
    const payload = payloads[report.sent % payloads.length];
    sockets[report.sent % sockets.length].send(payload, job.port, job.host, () => undefined);
  }
}, 5);
process.once('SIGTERM', () => process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0)));
process.stdout.write('begun\n');
