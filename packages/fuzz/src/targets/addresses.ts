import fc from 'fast-check';
import { formatEndpoint, parseEndpoint, sourceKey, type Endpoint } from '@wirestream/core/address/endpoint';
import { formatIp, formatPrefix, isMappedIpv4, parseIp, parsePrefix, type Prefix } from '@wirestream/core/address/ip';
import { isWirestreamError } from '@wirestream/core/device/errors';
import { readAnswer, writeQuery } from '@wirestream/core/userspace/dns';
import { formatHostPort, parseForward, parseRemoteForward, parseSocks5 } from '@wirestream/core/userspace/forward';
import { allows, formatAllow, isMartian, parseAllow } from '@wirestream/core/userspace/rules';
import { readDatagram, replyFor, Socks5Server, writeDatagram } from '@wirestream/core/userspace/socks5';
import { endpoint, ip, prefix } from '../arbitraries/addresses.js';
import { bytes, chunkLengths, chunks, concat } from '../arbitraries/bytes.js';
import { must, mustEqual, target } from '../target.js';

interface Address {
  readonly bytes: Uint8Array;
  readonly endpoint: Endpoint;
  readonly prefix: Prefix;
  readonly text: string;
}

export const addresses = target<Address>({
  name: 'addresses',
  says: 'an address has one text, which the platform agrees with; endpoints and prefixes survive their text; no text crashes',
  runs: 300,
  arbitrary: fc.record({
    bytes: ip,
    endpoint,
    prefix,
    text: fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.stringMatching(/^[0-9a-f:.]{1,24}(\/[0-9]{1,3})?$/),
      fc.stringMatching(/^[0-9]{1,3}(\.[0-9]{1,3}){3}$/),
    ),
  }),
  check({ bytes: address, endpoint: end, prefix: range, text }) {
    const shown = formatIp(address);
    mustEqual(parseIp(shown), address, `bytes of ${shown}`);
    const host = address.length === 4 ? shown : `[${shown}]`;
    const url = new URL(`http://${host}/`).hostname;
    if (!isMappedIpv4(address)) mustEqual(host, url, 'text, by the platform');
    mustEqual(parseEndpoint(formatEndpoint(end)), end, 'endpoint');
    mustEqual(parsePrefix(formatPrefix(range)), range, 'prefix');
    must(sourceKey(end).length > 0, 'a source');
    const parsed = parseIp(text);
    if (parsed !== null) mustEqual(parseIp(formatIp(parsed)), parsed, `bytes of ${text}`);
    const cut = parsePrefix(text);
    if (cut !== null) mustEqual(parsePrefix(formatPrefix(cut)), cut, `prefix ${text}`);
    const there = parseEndpoint(text);
    if (there !== null) mustEqual(parseEndpoint(formatEndpoint(there)), there, `endpoint ${text}`);
  },
});

interface Words {
  readonly text: string;
  readonly address: Uint8Array;
  readonly prefix: Prefix;
  readonly port: number;
}

export const rules = target<Words>({
  name: 'rules',
  says: 'rules and forwards survive their text, let through what they say, and refuse everything else in words',
  runs: 300,
  arbitrary: fc.record({
    text: fc.oneof(
      fc.string({ maxLength: 30 }),
      fc
        .tuple(
          fc.constantFrom('', '127.0.0.1:', '*:', '[::1]:', 'localhost:', 'x', '10.0.0.0/8:', '[fd00::/8]:'),
          fc.constantFrom('80', '0', '65536', '*', '80-90', '90-80', ''),
          fc.constantFrom('', '=10.0.0.2:80', '=[fd00::1]:53/udp', '=host.name:1', '=:', '/udp'),
        )
        .map((parts) => parts.join('')),
    ),
    address: ip,
    prefix,
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
  check({ text, address, prefix: range, port }) {
    const rule = { prefix: range, firstPort: Math.min(port, 443), lastPort: Math.max(port, 443) };
    mustEqual(parseAllow(formatAllow(rule)), rule, 'rule');
    const inside = range.bytes.length === address.length && samePrefix(range, address);
    mustEqual(allows([rule], address, port), inside, 'whether it lets an address through');
    must(!allows([rule], address, rule.lastPort + 1), 'no other port');
    if (address.length === 4)
      mustEqual(isMartian(address), address[0] === 0 || address[0] === 127 || address[0]! >= 224, 'martian');
    for (const parse of [parseAllow, parseForward, parseRemoteForward, parseSocks5]) {
      try {
        const result = parse(text);
        if (parse === parseAllow) mustEqual(parseAllow(formatAllow(result as typeof rule)), result, `rule ${text}`);
        if (parse === parseSocks5)
          mustEqual(parseSocks5(formatHostPort(result as { host: string; port: number })), result, `listener ${text}`);
      } catch (error) {
        must(isWirestreamError(error), () => `not an error for people: ${String(error)}`);
      }
    }
  },
});

function samePrefix(range: Prefix, address: Uint8Array): boolean {
  const bits = (b: Uint8Array) => [...b].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return bits(range.bytes).slice(0, range.length) === bits(address).slice(0, range.length);
}

interface Conversation {
  readonly methods: number[];
  readonly command: number;
  readonly host: Uint8Array;
  readonly port: number;
  readonly rest: Uint8Array;
  readonly lengths: number[];
  readonly garbage: Uint8Array;
}

export const socks5 = target<Conversation>({
  name: 'socks5',
  says: 'a client’s request is understood however it is cut; no bytes crash the server or make it hold more than a message',
  runs: 200,
  arbitrary: fc.record({
    methods: fc.array(fc.nat({ max: 3 }), { maxLength: 4 }),
    command: fc.constantFrom(1, 1, 3, 2, 0),
    host: fc.oneof(
      ip,
      fc.stringMatching(/^[a-z.]{1,20}$/).map((name) => Uint8Array.from(name, (c) => c.charCodeAt(0))),
    ),
    port: fc.nat({ max: 65_535 }),
    rest: bytes(20),
    lengths: chunkLengths,
    garbage: bytes(400),
  }),
  check({ methods, command, host, port, rest, lengths, garbage }) {
    const isName = host.length !== 4 && host.length !== 16;
    const type = host.length === 4 ? 1 : host.length === 16 ? 4 : 3;
    const request = [5, command, 0, type, ...(isName ? [host.length] : []), ...host, port >> 8, port & 255];
    const all = concat([Uint8Array.of(5, methods.length, ...methods), Uint8Array.from(request), rest]);
    const server = new Socks5Server();
    let found = null;
    let over = false;
    const late: Uint8Array[] = [];
    for (const chunk of chunks(all, lengths)) {
      if (found !== null || over) {
        late.push(chunk);
        continue;
      }
      const step = server.feed(chunk);
      over = step.isOver;
      found = step.request;
    }
    if (methods.includes(0) && (command === 1 || command === 3)) {
      must(found !== null, 'the request is understood');
      mustEqual([found.command, found.destination.port], [command === 1 ? 'connect' : 'associate', port], 'request');
      mustEqual(concat([server.rest, ...late]), rest, 'what came behind it');
    } else must(found === null, 'nothing is requested');

    const other = new Socks5Server();
    for (const chunk of chunks(garbage, lengths)) {
      const step = other.feed(chunk);
      must(other.rest.length <= 262 + 400, 'what the server holds is bounded');
      if (step.isOver || step.request !== null) break;
    }
    const datagram = readDatagram(garbage);
    if (!isName) {
      const name = formatIp(host);
      mustEqual(
        readDatagram(writeDatagram({ host: name, port }, rest)),
        { destination: { host: name, port }, data: rest },
        'datagram',
      );
    }
    must(datagram === null || datagram.data.length < garbage.length, 'a datagram');
    mustEqual(replyFor('refused').slice(0, 2), Uint8Array.of(5, 5), 'reply');
  },
});

interface Lookup {
  readonly id: number;
  readonly name: string;
  readonly family: 4 | 6;
  readonly found: Uint8Array[];
  readonly compressed: boolean;
  readonly at: number;
  readonly value: number;
  readonly garbage: Uint8Array;
}

export const dns = target<Lookup>({
  name: 'dns',
  says: 'addresses are found in an answer, and no answer, however damaged, crashes or goes round in circles',
  runs: 200,
  arbitrary: fc.record({
    id: fc.nat({ max: 65_535 }),
    name: fc.oneof(fc.stringMatching(/^[a-z]{1,10}(\.[a-z]{1,10}){0,3}\.?$/), fc.string({ maxLength: 70 })),
    family: fc.constantFrom(4, 6),
    found: fc.array(ip, { maxLength: 4 }),
    compressed: fc.boolean(),
    at: fc.nat({ max: 100 }),
    value: fc.nat({ max: 255 }),
    garbage: bytes(60),
  }),
  check({ id, name, family, found, compressed, at, value, garbage }) {
    const query = writeQuery(id, name, family);
    if (query === null) return must(!/^[a-z]{1,10}(\.[a-z]{1,10}){0,3}\.?$/.test(name), 'a name can be asked for');
    const records = found.map((address) => {
      const owner = compressed ? [0xc0, 12] : [...query.subarray(12, query.length - 4)];
      return Uint8Array.from([
        ...owner,
        0,
        address.length === 4 ? 1 : 28,
        0,
        1,
        0,
        0,
        0,
        9,
        0,
        address.length,
        ...address,
      ]);
    });
    const answer = concat([query, ...records]);
    answer.set([0x81, 0x80], 2);
    answer.set([0, records.length], 6);
    const wanted = found.filter((address) => address.length === (family === 4 ? 4 : 16));
    mustEqual(readAnswer(answer, query)?.addresses, wanted, 'addresses');
    mustEqual(readAnswer(query, query), null, 'a query is no answer');
    const damaged = answer.slice();
    damaged[at % damaged.length] = value;
    readAnswer(damaged, query);
    readAnswer(concat([query, garbage]), query);
    for (let cut = 0; cut < answer.length; cut += 7) readAnswer(answer.subarray(0, cut), query);
  },
});
