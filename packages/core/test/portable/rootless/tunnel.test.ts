import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { LinuxDatagramBatches } from '../../../src/linux/datagrambatches.js';
import { parseAllow } from '../../../src/userspace/rules.js';
import { parseForward } from '../../../src/userspace/forward.js';
import { closeAll, drain, ends, webServer } from './ends.js';

afterEach(closeAll);

const batches = process.platform === 'linux' ? { makeDatagramBatches: () => new LinuxDatagramBatches() } : {};

describe.each([
  ['tcp', 'tcp', {}],
  ['udp', 'udp', {}],
  ['udp, many datagrams at a time', 'udp', batches],
] as const)('two rootless ends over %s', (_name, transport, how) => {
  test('answer each other’s echo requests', async () => {
    const [a, b] = await ends(transport, how, how);
    expect(await a.ping('10.0.0.2')).toBeGreaterThan(0);
    expect(await b.ping('10.0.0.1', { size: 1392 })).toBeGreaterThan(0);
  });

  test('carry a download from a native web server at the other end', async () => {
    const body = randomBytes(5_000_000);
    const port = await webServer((_request, response) => response.end(body));
    const [a] = await ends(transport, how, { ...how, allow: [parseAllow(`127.0.0.1:${port}`)] });
    const request = http.get({
      host: '10.0.0.2',
      port,
      createConnection: () => a.connect('10.0.0.2', port),
    });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    expect(sha(await drain(response))).toBe(sha(body));
  });

  test('carry an upload through a forward', async () => {
    const body = randomBytes(5_000_000);
    const port = await webServer(async (request, response) => response.end(sha(await drain(request))));
    const [a] = await ends(
      transport,
      { ...how, forwards: [parseForward(`127.0.0.1:0=10.0.0.2:${port}`)] },
      { ...how, allow: [parseAllow(`127.0.0.1:${port}`)] },
    );
    const request = http.request({ ...a.forwardEndpoints[0]!, method: 'POST' });
    request.end(body);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    expect((await drain(response)).toString()).toBe(sha(body));
  });

  test('connect programs at both ends without any native socket', async () => {
    const [a, b] = await ends(transport, how, how);
    b.listen(7, (socket) => socket.pipe(socket));
    const socket = a.connect('10.0.0.2', 7);
    const text = randomBytes(300_000);
    socket.end(text);
    expect((await drain(socket)).equals(text)).toBe(true);
  });

  test('a port that is not allowed is refused', async () => {
    const port = await webServer((_request, response) => response.end());
    const [a] = await ends(transport, how, how);
    const socket = a.connect('10.0.0.2', port);
    await expect(once(socket, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

test.each([
  ['a few long messages over TCP', 'tcp', true, 50, 1_000],
  ['ordinary packets where extensions are off', 'tcp', false, 2_800, 6_000],
  ['ordinary packets over UDP', 'udp', true, 2_800, 9_000],
] as const)('a large transfer is %s', async (_what, transport, extensions, least, most) => {
  const body = randomBytes(4_000_000);
  const [a, b] = await ends(transport);
  for (const end of [a, b]) await end.configure({ extensions, peers: [] });
  b.listen(7, (socket) => socket.end(body));
  expect((await drain(a.connect('10.0.0.2', 7))).equals(body)).toBe(true);
  const [peer] = b.driver.device.peers.values();
  const messages = peer!.keypairs.current!.nextLo;
  expect(messages).toBeGreaterThan(least);
  expect(messages).toBeLessThan(most);
});

test('a native client of a forward sees the refusal as a reset', async () => {
  const [a] = await ends('tcp', { forwards: [parseForward('127.0.0.1:0=10.0.0.2:9')] });
  const client = net.connect(a.forwardEndpoints[0]!);
  await expect(once(client, 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
});

function sha(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
