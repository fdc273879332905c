import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

/** What programs talk to: services of this host, on loopback. */
export interface Services {
  /** says what it hears, over TCP and over UDP at the same port number */
  readonly echo: number;
  /** answers questions for addresses, over TCP and UDP */
  readonly names: number;
  /** nobody is there */
  readonly nobody: number;
  close(): void;
}

/** Names that the name server knows, and where they are. The answer for one of them does not fit into a datagram. */
export const NAMES: Readonly<Record<string, readonly number[]>> = {
  'echo.test': [10, 0, 0, 2],
  'long.test': [10, 0, 0, 2],
  'elsewhere.test': [192, 0, 2, 1],
};
const LONG = 'long.test';

const TYPE_A = 1;

export async function openServices(): Promise<Services> {
  const echo = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const names = net.createServer((socket) => {
    socket.on('error', () => undefined);
    // Each message has its length in front (RFC 1035 §4.2.2); questions are short and come whole.
    socket.on('data', (bytes) => {
      const reply = answer(bytes.subarray(2), false);
      socket.end(Buffer.concat([Buffer.of(reply.length >> 8, reply.length & 255), reply]));
    });
  });
  const nobody = net.createServer();
  const ports = [];
  for (const server of [echo, names, nobody]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports.push((server.address() as net.AddressInfo).port);
  }
  nobody.close();
  const datagrams = [await udp(ports[0]!, (bytes) => bytes), await udp(ports[1]!, (bytes) => answer(bytes, true))];
  return {
    echo: ports[0]!,
    names: ports[1]!,
    nobody: ports[2]!,
    close: () => [echo, names, ...datagrams].forEach((one) => one.close()),
  };
}

async function udp(port: number, reply: (bytes: Buffer) => Buffer): Promise<dgram.Socket> {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (bytes, from) => socket.send(reply(bytes), from.port, from.address, () => undefined));
  socket.on('error', () => undefined);
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** An answer to a question (RFC 1035 §4): its name, and the address if there is one; a name that is not known does not exist. */
function answer(query: Buffer, isDatagram: boolean): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (; query[at]! > 0; at += 1 + query[at]!) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!));
  const name = labels.join('.').toLowerCase();
  const question = query.subarray(0, at + 5);
  const address = NAMES[name];
  const isCut = isDatagram && name === LONG;
  const isThere = address !== undefined && question[at + 2] === TYPE_A && !isCut;
  const out = Buffer.concat(
    [question, isThere ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, ...address]) : ''].map((part) =>
      Buffer.from(part),
    ),
  );
  out.writeUInt16BE(0x8180 | (isCut ? 0x200 : 0) | (address === undefined ? 3 : 0), 2);
  out.writeUInt16BE(isThere ? 1 : 0, 6);
  return out;
}
