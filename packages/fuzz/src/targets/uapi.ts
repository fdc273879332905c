import fc from 'fast-check';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { formatGet } from '@wirestream/core/uapi/get';
import { isWholeReply, parseReply } from '@wirestream/core/uapi/reply';
import { formatSet } from '@wirestream/core/uapi/request';
import { RequestReader, type Request } from '@wirestream/core/uapi/requests';
import { LINE_MAX, UapiError } from '@wirestream/core/uapi/uapi';
import { chunkLengths, chunks } from '../arbitraries/bytes.js';
import { settings, snapshot, uapiText } from '../arbitraries/uapi.js';
import { must, mustEqual, target } from '../target.js';

const encode = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0) & 255);

function requests(text: string, lengths: readonly number[]): Request[] {
  const reader = new RequestReader();
  return [...chunks(encode(text), lengths)].flatMap((chunk) => [...reader.push(chunk)]);
}

interface Exchange {
  readonly settings: DeviceSettings;
  readonly snapshot: DeviceSnapshot;
  readonly lengths: number[];
  readonly mistake: string;
}

export const uapiExchange = target<Exchange>({
  name: 'uapi',
  says: 'settings and states survive the protocol, however its bytes are cut; one mistake refuses the whole request and nothing else',
  runs: 150,
  arbitrary: fc.record({
    settings,
    snapshot,
    lengths: chunkLengths,
    mistake: fc.constantFrom(
      'wombat=1',
      'no equals',
      'listen_port=65536',
      'fwmark=-1',
      'public_key=12',
      'endpoint=1.2.3.4',
      'remove=false',
    ),
  }),
  check({ settings: wanted, snapshot: state, lengths, mistake }) {
    const text = formatSet(wanted);
    // What stays as it is may be absent; what is said must come through.
    const [first, second, ...rest] = requests(`${text}get=1\n\n`, lengths);
    must(first?.op === 'set', 'a set request');
    mustEqual(withoutUnset(first.settings), withoutUnset(wanted), 'settings');
    mustEqual([second, rest], [{ op: 'get' }, []], 'the request behind it');

    const wrong = `${text.slice(0, -1)}${mistake}\n\nget=1\n\n`;
    const [refused, next] = requests(wrong, lengths);
    mustEqual([refused?.op, next?.op], ['refuse', 'get'], 'after a mistake');

    const reply = `${formatGet(state)}errno=0\n\n`;
    must(isWholeReply(reply) && !isWholeReply(reply.slice(0, -1)), 'a whole reply');
    mustEqual(parseReply(reply), fine(state), 'state');
    const failed = `${formatGet(state)}errno=-22\n\n`;
    try {
      parseReply(failed);
      must(false, 'an error number is an error');
    } catch (error) {
      mustEqual(error instanceof UapiError ? error.errno : String(error), -22, 'errno');
    }
  },
});

/** Keys in one order; a device key that says nothing is left out. */
function withoutUnset(value: DeviceSettings): unknown {
  const order = (object: object) => Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
  return order({ ...value, peers: value.peers.map(order) });
}

/** What the protocol can carry of a state: a handshake's time as a number made of whole nanoseconds. */
function fine(state: DeviceSnapshot): DeviceSnapshot {
  return {
    ...state,
    peers: state.peers.map((peer) => ({
      ...peer,
      lastHandshake: Math.floor(peer.lastHandshake / 1000) * 1000 + Math.floor((peer.lastHandshake % 1000) * 1e6) / 1e6,
    })),
  };
}

interface Text {
  readonly text: string;
  readonly lengths: number[];
}

export const uapiTexts = target<Text>({
  name: 'uapi-text',
  says: 'no bytes crash the reader of requests or of replies; any chunking gives the same requests; after a close there is nothing',
  runs: 300,
  arbitrary: fc.record({
    text: fc.oneof(
      uapiText,
      uapiText.map((text) => `set=1\n${text}\n\n`),
      fc.nat({ max: 3 }).map((n) => 'x'.repeat(LINE_MAX + n - 1)),
    ),
    lengths: chunkLengths,
  }),
  fromBytes: (bytes) => ({ text: Buffer.from(bytes).toString('latin1'), lengths: [1 + ((bytes[0] ?? 0) & 31)] }),
  check({ text, lengths }) {
    const all = requests(text, [Math.max(1, text.length)]);
    mustEqual(requests(text, lengths), all, 'requests');
    const closed = all.findIndex(({ op }) => op === 'close');
    must(closed < 0 || closed === all.length - 1, 'nothing comes after a close');
    for (const request of all) {
      if (request.op === 'refuse' || (request.op === 'close' && request.error !== null))
        must(request.error!.errno < 0, 'errno');
      if (request.op !== 'set') continue;
      const [again] = requests(formatSet(request.settings), lengths);
      must(again?.op === 'set', 'a set request');
      // A repeated key counts once, and in one order, when it is written again.
      const [third] = requests(formatSet(again.settings), [7]);
      mustEqual(third, again, 'settings written and read again');
    }
    try {
      parseReply(text);
    } catch (error) {
      must(error instanceof UapiError, () => `not an error of the protocol: ${String(error)}`);
    }
  },
});
