import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from './support/command.js';
import { contentHash, contentStream, datagramOrigin, tcpOrigin, webOrigin } from './support/origin.js';
import { hasProgram, LONG } from './support/requirements.js';
import { freePort, rootlessPair, type RootlessPair } from './support/rootless.js';
import { Scope } from './support/scope.js';
import { pause, until } from './support/until.js';

/** As much as the long run asks for, and what every run does. */
const EVERY_RUN = { bytes: 16 * 2 ** 20, parallel: 40, inARow: 200, deadline: 60_000 };
/** Slower, and the same code for the most part. */
const BARE_RUN = { ...EVERY_RUN, bytes: 4 * 2 ** 20, parallel: 10, inARow: 40 };
const LONG_RUN = { bytes: 2 ** 30, parallel: 1_000, inARow: 10_000, deadline: 280_000 };
const IDLE = 600_000;
/** Looking means starting the command twice. */
const PATIENT = { deadline: 40_000 };
/** What an end may have grown to, whatever went through it: far below what the long run moves. */
const MEMORY_MAX = 600 * 2 ** 20;

const missing = ['curl', 'nc', ...(process.getuid?.() === 0 ? ['setpriv'] : [])].filter((name) => !hasProgram(name));
const suite = missing.length === 0 && process.platform === 'linux' ? describe : describe.skip;
const title = missing.length === 0 ? '' : ` (SKIPPED: needs ${missing.join(', ')})`;

function report(what: string, begun: number, bytes = 0): void {
  if (!LONG) return;
  const seconds = (performance.now() - begun) / 1000;
  const rate = bytes > 0 ? `, ${((bytes * 8) / seconds / 1e6).toFixed(0)} Mbit/s` : '';
  process.stderr.write(`      ${what}: ${seconds.toFixed(1)} s${rate}\n`);
}

const kinds = [
  { over: 'tcp', transport: 'tcp', bare: false },
  { over: 'udp', transport: 'udp', bare: false },
  { over: 'tcp, where there is no TUN and no native code', transport: 'tcp', bare: true },
] as const;

suite.each(kinds)(`two ends of an ordinary user over $over${title}`, ({ transport, bare }) => {
  const sizes = bare ? BARE_RUN : LONG ? LONG_RUN : EVERY_RUN;
  const { bytes: BYTES, parallel: PARALLEL, inARow: IN_A_ROW, deadline: DEADLINE } = sizes;
  const scope = new Scope();
  const ports = {} as Record<
    'web' | 'echo' | 'late' | 'datagrams' | 'forward' | 'back' | 'echoes' | 'lates' | 'socks' | 'socksBack',
    number
  >;
  let pair: RootlessPair;
  /** connections that the native server has, the newest last */
  const served: net.Socket[] = [];

  beforeAll(async () => {
    ports.web = await webOrigin(scope);
    ports.echo = await tcpOrigin(scope, (socket) => {
      served.push(socket);
      socket.pipe(socket);
    });
    // Says nothing before it has heard everything.
    ports.late = await tcpOrigin(scope, (socket) => {
      const hash = createHash('sha256');
      socket.on('data', (chunk) => hash.update(chunk)).on('end', () => socket.end(hash.digest('hex')));
    });
    ports.datagrams = await datagramOrigin(scope);
    for (const name of ['forward', 'back', 'echoes', 'lates', 'socks', 'socksBack'] as const)
      ports[name] = await freePort();
    pair = await rootlessPair(scope, {
      transport,
      bare,
      a: [
        ...['--forward', `${ports.forward}=10.0.0.2:80`, '--forward', `${ports.echoes}=10.0.0.2:${ports.echo}`],
        ...[
          '--forward',
          `${ports.lates}=[fd00::2]:7`,
          '--socks5',
          `${ports.socks}`,
          '--allow',
          `127.0.0.1:${ports.web}`,
        ],
      ],
      b: [
        ...['--remote-forward', `80=127.0.0.1:${ports.web}`, '--remote-forward', `7=127.0.0.1:${ports.late}`],
        ...['--allow', `127.0.0.1:${ports.echo}`, '--forward', `${ports.back}=10.0.0.1:${ports.web}`],
        ...['--socks5', `${ports.socksBack}`, '--allow', `127.0.0.1:${ports.datagrams}`],
      ],
    });
    // The second end knows where the first one is once that has spoken.
    await pair.a.output('ping', pair.a.name, '10.0.0.2', '--count', '1');
  }, 60_000);

  afterAll(async () => {
    await scope.close();
  }, 60_000);

  const ways = [
    ['forward', (bytes: number) => [`http://127.0.0.1:${ports.forward}/${bytes}`]],
    ['forward, the other way', (bytes: number) => [`http://127.0.0.1:${ports.back}/${bytes}`]],
    ['SOCKS5', (bytes: number) => ['--socks5', `127.0.0.1:${ports.socks}`, `http://10.0.0.2/${bytes}`]],
    [
      'SOCKS5, the other way',
      (bytes: number) => ['--socks5', `127.0.0.1:${ports.socksBack}`, `http://10.0.0.1:${ports.web}/${bytes}`],
    ],
  ] as const;

  test('say that they run in user space', () => {
    expect(pair.a.child.stderr).toMatch(
      /^rootless: the tunnel runs in user space, without an interface \(.*CAP_NET_ADMIN/m,
    );
  });

  test.each(ways)(
    'curl downloads through %s',
    async (way, args) => {
      const begun = performance.now();
      const command = 'curl -sS --fail --noproxy "" "$@" | sha256sum';
      const { stdout, stderr } = await run(['sh', '-c', command, 'sh', ...args(BYTES)], { deadline: DEADLINE });
      report(`${transport}, download through ${way}`, begun, BYTES);
      expect([stdout.slice(0, 64), stderr]).toEqual([contentHash(BYTES), '']);
    },
    DEADLINE + 20_000,
  );

  test.each(ways)(
    'curl uploads through %s',
    async (way, args) => {
      const begun = performance.now();
      const curl = spawn('curl', ['-sS', '--fail', '-T', '-', '-H', 'Expect:', ...args(0)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      contentStream(BYTES).pipe(curl.stdin);
      let answer = '';
      curl.stdout.on('data', (text) => (answer += text));
      await once(curl, 'close');
      report(`${transport}, upload through ${way}`, begun, BYTES);
      expect(answer).toBe(contentHash(BYTES));
    },
    DEADLINE + 20_000,
  );

  test(
    'many downloads at once',
    async () => {
      const begun = performance.now();
      const bytes = 1_000_000;
      const wanted = contentHash(bytes);
      const agent = new http.Agent({ maxSockets: Infinity });
      const get = async () => {
        const request = http.get({ port: ports.forward, path: `/${bytes}`, agent });
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        const hash = createHash('sha256');
        for await (const chunk of response) hash.update(chunk as Buffer);
        return hash.digest('hex');
      };
      const hashes = await Promise.all(Array.from({ length: PARALLEL }, get));
      report(`${transport}, ${PARALLEL} downloads of 1 MB at once`, begun, PARALLEL * bytes);
      expect(hashes.filter((hash) => hash !== wanted)).toEqual([]);
      agent.destroy();
    },
    DEADLINE + 20_000,
  );

  test(
    'many short connections in a row',
    async () => {
      const begun = performance.now();
      for (let n = 0; n < IN_A_ROW; n++) {
        const socket = net.connect({ port: ports.echoes, host: '127.0.0.1', allowHalfOpen: true });
        socket.end(`connection ${n}`);
        let heard = '';
        for await (const chunk of socket) heard += String(chunk);
        if (heard !== `connection ${n}`) throw new Error(`connection ${n} heard ${heard}`);
      }
      report(`${transport}, ${IN_A_ROW} connections in a row`, begun);
      const shown = async () => (await flows(pair)).a.filter(({ destination }) => destination.port === ports.echo);
      await until('the flows to be gone', async () => (await shown()).length === 0, PATIENT);
    },
    DEADLINE + 20_000,
  );

  test('nc -N: what comes back after the end of what was sent arrives whole', async () => {
    const bytes = 3_000_001;
    const nc = spawn('nc', ['-N', '127.0.0.1', `${ports.lates}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    contentStream(bytes).pipe(nc.stdin);
    let answer = '';
    nc.stdout.on('data', (text) => (answer += text));
    await once(nc, 'close');
    expect(answer).toBe(contentHash(bytes));
  }, 60_000);

  test('a reset by the server is a reset at the client', async () => {
    const socket = net.connect(ports.echoes, '127.0.0.1');
    socket.write('something');
    await once(socket, 'data');
    const failed = once(socket, 'end');
    served.at(-1)!.resetAndDestroy();
    await expect(failed).rejects.toMatchObject({ code: 'ECONNRESET' });
  }, 60_000);

  test('a reset by the client is a reset at the server, in the middle of a transfer', async () => {
    const socket = net.connect(ports.echoes, '127.0.0.1');
    contentStream(50_000_000).pipe(socket);
    await once(socket, 'data');
    const reason = once(served.at(-1)!, 'error');
    socket.resetAndDestroy();
    expect(await reason).toMatchObject([{ code: 'ECONNRESET' }]);
  }, 60_000);

  test('a port that may not be reached refuses, and curl says so', async () => {
    const proxy = ['--socks5', `127.0.0.1:${ports.socksBack}`];
    const { code, stderr } = await run(['curl', '-sS', ...proxy, 'http://10.0.0.1:9/'], { deadline: 30_000 });
    // RFC 1928 §6: 5 is "connection refused".
    expect([code, stderr]).toEqual([97, expect.stringMatching(/\(5\)/)]);
  }, 60_000);

  test('SOCKS5 carries datagrams, each with where it is from', async () => {
    const { association, relay } = await associate(ports.socks);
    const client = createSocket('udp4');
    const answers = new Set<string>();
    const wanted = ['first', 'second', 'x'.repeat(1300)];
    client.on('message', (bytes) => answers.add(`${bytes.readUInt16BE(8)} ${bytes.subarray(10).toString()}`));
    await until(
      'all answers',
      () => {
        // RFC 1928 §7: reserved, fragment, IPv4, address, port, data. Over UDP a datagram may be lost.
        for (const text of wanted) {
          const header = Buffer.from([0, 0, 0, 1, 10, 0, 0, 2, ports.datagrams >> 8, ports.datagrams & 0xff]);
          client.send(Buffer.concat([header, Buffer.from(text)]), relay, '127.0.0.1');
        }
        return answers.size >= wanted.length;
      },
      PATIENT,
    );
    expect([...answers].sort()).toEqual(wanted.map((text) => `${ports.datagrams} heard ${text}`).sort());
    const udp = async () => (await flows(pair)).a.some(({ protocol }) => protocol === 'udp');
    expect(await udp()).toBe(true);
    association.destroy();
    await until('the association to be gone', async () => !(await udp()), PATIENT);
    client.close();
  }, 60_000);

  test('show flows names what goes on', async () => {
    const socket = net.connect(ports.echoes, '127.0.0.1');
    socket.write('0123456789');
    await once(socket, 'data');
    const toEcho = (list: Flow[]) =>
      list.find(({ destination, state }) => destination.port === ports.echo && state === 'established');
    const found = await until('the flow', async () => {
      const both = await flows(pair);
      const [a, b] = [toEcho(both.a), toEcho(both.b)];
      return a !== undefined && b !== undefined ? { a, b } : null;
    });
    const common = {
      protocol: 'tcp',
      state: 'established',
      sentBytes: 10,
      receivedBytes: 10,
      ageMs: expect.any(Number),
    };
    const destination = { address: '10.0.0.2', port: ports.echo };
    expect(found.a).toMatchObject({ ...common, direction: 'out', destination });
    expect(found.b).toMatchObject({ ...common, direction: 'in', destination });
    const line = (await pair.a.output('show', 'flows')).split('\n').find((text) => text.includes(`:${ports.echo}`))!;
    expect(line.split('\t').slice(0, 3)).toEqual([pair.a.name, 'tcp', 'out']);
    socket.destroy();
  }, 60_000);

  const longTest = LONG && transport === 'tcp' && !bare ? test : test.skip;
  longTest(
    'an idle flow survives ten minutes',
    async () => {
      const socket = net.connect(ports.echoes, '127.0.0.1');
      socket.write('before');
      await once(socket, 'data');
      await pause(IDLE);
      socket.write('after');
      expect(String((await once(socket, 'data'))[0])).toBe('after');
      socket.destroy();
    },
    IDLE + 60_000,
  );

  test('they have stayed small', () => {
    const peaks = [pair.a.peakMemory, pair.b.peakMemory];
    if (LONG)
      process.stderr.write(
        `      ${transport}, peak memory: ${peaks.map((n) => (n / 2 ** 20).toFixed(0)).join(' and ')} MiB\n`,
      );
    for (const peak of peaks) expect(peak).toBeLessThan(MEMORY_MAX);
  });
});

/** Asks a SOCKS5 proxy for UDP ASSOCIATE (RFC 1928 §4). @returns the connection that keeps it alive, and its port for datagrams */
async function associate(proxy: number): Promise<{ association: net.Socket; relay: number }> {
  const association = net.connect(proxy, '127.0.0.1');
  const answer = async () => ((await once(association, 'data')) as [Buffer])[0];
  association.write(Buffer.from([5, 1, 0]));
  expect([...(await answer())]).toEqual([5, 0]);
  association.write(Buffer.from([5, 3, 0, 1, 0, 0, 0, 0, 0, 0]));
  const reply = await answer();
  expect([...reply.subarray(0, 4)]).toEqual([5, 0, 0, 1]);
  return { association, relay: reply.readUInt16BE(8) };
}

interface Flow {
  readonly protocol: 'tcp' | 'udp';
  readonly destination: { readonly address: string; readonly port: number };
  readonly state: string;
}

async function flows({ a, b }: RootlessPair): Promise<{ a: Flow[]; b: Flow[] }> {
  const read = async (end: RootlessPair['a']) =>
    (JSON.parse(await end.output('show', end.name, 'flows', '--json')) as Record<string, Flow[]>)[end.name]!;
  return { a: await read(a), b: await read(b) };
}
