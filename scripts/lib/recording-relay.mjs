/**
 * A TCP relay on loopback that writes what passes through it as a capture: what tcpdump does for those who may. Each connection is written with the
 * addresses that its ends see, and with made-up sequence numbers, since the real ones are the kernel's.
 */
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import net from 'node:net';

/** pcap: microseconds, raw IP (link type 101) */
const PCAP_MAGIC = 0xa1b2c3d4;
const LINKTYPE_RAW = 101;
/** Bytes of payload in one packet. */
const SEGMENT = 1400;
const FIN = 1;
const SYN = 2;
const PSH = 8;
const ACK = 16;

/** @returns {Promise<{port: number, stopRecording(): void, close(): Promise<void>}>} */
export async function recordingRelay(targetPort, file) {
  const fd = openSync(file, 'w');
  let recording = true;
  const write = (bytes) => recording && writeSync(fd, bytes);
  const header = Buffer.alloc(24);
  header.writeUInt32LE(PCAP_MAGIC, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262_144, 16);
  header.writeUInt32LE(LINKTYPE_RAW, 20);
  write(header);

  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (near) => {
    const far = net.connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const ends = {
      near: { port: near.remotePort, sequence: 1000 },
      far: { port: targetPort, sequence: 5000 },
    };
    const packet = (from, to, flags, payload = Buffer.alloc(0)) => {
      write(segment(ends[from], ends[to], flags, payload));
      ends[from].sequence += payload.length + ((flags & (SYN | FIN)) !== 0 ? 1 : 0);
    };
    const pass = (from, to, input, output) => {
      sockets.add(input);
      input.setNoDelay(true);
      input.on('data', (chunk) => {
        for (let at = 0; at < chunk.length; at += SEGMENT)
          packet(from, to, PSH | ACK, chunk.subarray(at, at + SEGMENT));
        if (!output.write(chunk)) {
          input.pause();
          output.once('drain', () => input.resume());
        }
      });
      input.on('end', () => {
        packet(from, to, FIN | ACK);
        output.end();
      });
      input.on('error', () => output.destroy());
      input.on('close', () => sockets.delete(input));
    };
    packet('near', 'far', SYN);
    far.once('connect', () => {
      packet('far', 'near', SYN | ACK);
      packet('near', 'far', ACK);
      near.resume();
    });
    pass('near', 'far', near, far);
    pass('far', 'near', far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    stopRecording: () => {
      recording = false;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
      closeSync(fd);
    },
  };
}

function segment(from, to, flags, payload) {
  const length = 40 + payload.length;
  const out = Buffer.alloc(16 + length);
  const now = Date.now();
  out.writeUInt32LE(Math.floor(now / 1000), 0);
  out.writeUInt32LE((now % 1000) * 1000, 4);
  out.writeUInt32LE(length, 8);
  out.writeUInt32LE(length, 12);
  const ip = 16;
  out[ip] = 0x45;
  out.writeUInt16BE(length, ip + 2);
  out[ip + 8] = 64;
  out[ip + 9] = 6;
  out.set([127, 0, 0, 1, 127, 0, 0, 1], ip + 12);
  const tcp = ip + 20;
  out.writeUInt16BE(from.port, tcp);
  out.writeUInt16BE(to.port, tcp + 2);
  out.writeUInt32BE(from.sequence, tcp + 4);
  out.writeUInt32BE((flags & ACK) !== 0 ? to.sequence : 0, tcp + 8);
  out[tcp + 12] = 0x50;
  out[tcp + 13] = flags;
  out.writeUInt16BE(65_535, tcp + 14);
  out.set(payload, tcp + 20);
  return out;
}
