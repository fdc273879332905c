import { createHash } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import { other, type Side } from './plan.js';
import type { LabStep } from './steps.js';
import { until } from './wait.js';

/** Steps that move many bytes through the tunnel. */

/** Some bytes by TCP through the tunnel, compared by their checksum. */
export function bulk(from: Side, bytes: number): LabStep {
  const port = 7000;
  return {
    side: from,
    text: `sends ${bytes} bytes by TCP through the tunnel`,
    limit: 150,
    async run(context) {
      const { us, kernel } = context.plan;
      const file = `${context.kernel.folder}/bulk.${context.plan.network}`;
      const began = performance.now();
      let sums: string[];
      if (from === 'kernel') {
        const arrived = receive(us.inner[4], port, 120);
        await context.kernel.sh(
          `head -c ${bytes} /dev/urandom >${file}; busybox nc -w 60 ${us.inner[4]} ${port} <${file}`,
          120,
        );
        sums = [await context.kernel.sh(`sha256sum <${file}; rm ${file}`), await arrived];
      } else {
        await context.kernel.sh(
          `rm -f ${file}; busybox nc -l -p ${port} >${file} 2>&1 & n=0; ` +
            `until ss -ltn | grep -q ':${port} '; do n=$((n+1)); [ $n -lt 100 ] || exit 1; sleep 0.1; done`,
        );
        const sent = await send(kernel.inner[4], port, bytes);
        await until(
          'all bytes to arrive',
          60,
          async () => (await context.kernel.sh(`wc -c <${file}`)).trim() === `${bytes}`,
        );
        sums = [sent, await context.kernel.sh(`sha256sum <${file}; rm ${file}`)];
      }
      const [a, b] = sums.map((sum) => sum.split(/\s/)[0]!);
      if (a !== b) throw new Error(`sent ${a}, arrived ${b}`);
      return `sha256 ${a!.slice(0, 16)}… on both ends, ${((bytes * 8) / 1000 / (performance.now() - began)).toFixed(1)} Mbit/s`;
    },
  };
}

async function receive(host: string, port: number, seconds: number): Promise<string> {
  const hash = createHash('sha256');
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  try {
    return await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('nothing came to an end')), seconds * 1000);
      server.once('connection', (socket: Socket) => {
        socket.on('data', (chunk: Buffer) => hash.update(chunk));
        socket.once('error', reject);
        socket.once('end', () => {
          clearTimeout(timer);
          socket.end();
          resolve(hash.digest('hex'));
        });
      });
    });
  } finally {
    server.close();
  }
}

async function send(host: string, port: number, bytes: number): Promise<string> {
  const data = pattern(bytes);
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port, timeout: 60_000 });
    socket.once('error', reject);
    socket.once('timeout', () => socket.destroy(new Error('the connection stands still')));
    socket.once('close', () => resolve());
    socket.resume();
    socket.end(data);
  });
  return createHash('sha256').update(data).digest('hex');
}

/** Bytes that repeat only after a long while, from SHA-256 of their position. */
function pattern(bytes: number): Buffer {
  const out = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 32) createHash('sha256').update(`${at}`).digest().copy(out, at);
  return out;
}

/** iperf3 from one side to the other. */
export function iperf(from: Side, seconds: number): LabStep {
  return {
    side: from,
    text: `iperf3 for ${seconds} s`,
    limit: seconds + 60,
    async run(context) {
      const server = other(from);
      const to = context.plan[server].inner[4];
      await context.end(server).sh(`iperf3 -s -1 -D -B ${to} >/dev/null 2>&1; sleep 0.7`);
      const text = await context.end(from).sh(`iperf3 -J -c ${to} -t ${seconds} --connect-timeout 10000`, seconds + 40);
      const sum = (JSON.parse(text) as { end: { sum_received: { bytes: number; bits_per_second: number } } }).end
        .sum_received;
      if (!(sum.bytes > 0)) throw new Error('nothing arrived');
      return `${(sum.bits_per_second / 1e6).toFixed(1)} Mbit/s`;
    },
  };
}
