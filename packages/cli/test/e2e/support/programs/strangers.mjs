/**
 * Many TCP connections from people nobody knows; run in a network namespace of its own.
 *
 *   node strangers.mjs JOB
 *
 * JOB is a JSON file: { host, port, count, perSecond, sources: [address], payloads: [base64], linger }. Connection i comes
 * from sources[i % …] and behaves in its way: silent, slow, garbage, half a record, or a whole record (payloads[i % …]). It stays until
 * the other end closes it. When all have been opened, those that are left get `linger` ms more. The report, one
 * line of JSON, says how many connected, how many bytes came back, and how many the other end closed.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const payloads = job.payloads.map((text) => Buffer.from(text, 'base64'));
const KINDS = ['silent', 'slow', 'garbage', 'half', 'unknown'];
const SLOW_INTERVAL = 300;

const report = { connected: 0, received: 0, closedByPeer: 0, byKind: {} };
const open = new Set();

function speak(socket, kind, payload) {
  if (kind === 'garbage') socket.write(randomBytes(1000));
  else if (kind === 'half') socket.write(payload.subarray(0, 80));
  else if (kind === 'unknown') socket.write(payload);
  else if (kind === 'slow') {
    let at = 0;
    const timer = setInterval(() => socket.write(payload.subarray(at, ++at)), SLOW_INTERVAL);
    socket.once('close', () => clearInterval(timer));
  }
}

function stranger(i) {
  const kind = KINDS[i % KINDS.length];
  const localAddress = job.sources[i % job.sources.length];
  const socket = connect({ host: job.host, port: job.port, localAddress });
  open.add(socket);
  socket.once('connect', () => {
    report.connected++;
    report.byKind[kind] = (report.byKind[kind] ?? 0) + 1;
    speak(socket, kind, payloads[i % payloads.length]);
  });
  socket.on('data', (bytes) => (report.received += bytes.length));
  socket.once('end', () => report.closedByPeer++);
  socket.on('error', () => undefined);
  socket.once('close', () => {
    open.delete(socket);
  });
}

let opened = 0;
const start = performance.now();
const timer = setInterval(() => {
  const due = Math.min(job.count, Math.floor(((performance.now() - start) / 1000) * job.perSecond) + 1);
  while (opened < due) stranger(opened++);
  if (opened < job.count) return;
  clearInterval(timer);
  const end = performance.now() + job.linger;
  const wait = setInterval(() => {
    if (open.size > 0 && performance.now() < end) return;
    clearInterval(wait);
    report.left = open.size;
    process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
  }, 50);
}, 5);
process.stdout.write('begun\n');
