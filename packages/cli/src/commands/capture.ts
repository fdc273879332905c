import { Args, Command, Flags } from '@oclif/core';
import { CaptureWriter, type CaptureContents } from '@wirestream/core/capture/capturewriter';
import { KeyRing } from '@wirestream/core/capture/keyring';
import { formatKey } from '@wirestream/core/config/key';
import { isInterfaceName } from '@wirestream/core/config/names';
import { WirestreamError } from '@wirestream/core/device/errors';
import { CaptureClient } from '../capture/client.js';
import { installExtcap } from '../capture/extcap.js';
import { findPeer, parseDuration, parseRing } from '../capture/options.js';
import { CaptureSink } from '../capture/sink.js';
import { captureTunnel, type CaptureEnd } from '../capture/tunnel.js';
import { captureWire } from '../capture/wire.js';
import { ControlClient } from '../control/control.js';
import { controlSocket, runPaths } from '../control/paths.js';
import { loadKeys } from '../decode/keys.js';
import { collectEarly } from '../decode/memory.js';
import { fastestProvider } from '../decode/provider.js';
import { onInterrupt } from '../interrupt.js';

/** What of each packet a tunnel hands over when nothing else is said: more than any has. */
const WHOLE = 262_144;
const DEFAULT_PORT = 51_820;
/** The longest that a timer of Node's waits, ms: 24 days. */
const TIMEOUT_MAX = 2 ** 31 - 1;

export default class Capture extends Command {
  static override summary = 'Capture what a tunnel carries, or what passes on a network interface, as pcapng.';
  static override description = `NAME is a running tunnel of yours. What is written has the interfaces "outer" (each message as the UDP packet that it would have been, for tools that know WireGuard over UDP only), "inner" (the packets inside) and, with --records, "records" (records of TCP streams with their headers). Packet comments tell of drops and their reasons, resyncs, promotions, and changes of carrier. By default outer and inner packets are written. A reader that is too slow never holds the tunnel up; what is missing is counted.

--interface watches a network interface instead, for tunnels that anyone else runs: TCP is put together and records are found, from the middle of a stream too. Inner packets are there as far as --key-file says how to decrypt them.

No secret is written, unless --keys asks for it: then whoever has the file can decrypt what is in it, from the next handshake on.

--install-extcap [DIR] makes tunnels appear among Wireshark's interfaces, and installs the dissector of raw records.`;
  static override examples = [
    '<%= config.bin %> capture office -w office.pcapng',
    '<%= config.bin %> capture office --keys -w - | wireshark -k -i -',
    '<%= config.bin %> capture office --inner -w - | tcpdump -n -r -',
    '<%= config.bin %> capture office -w office.pcapng --ring 10x50MB',
    '<%= config.bin %> capture --interface eth0 --port 51820 -w eth0.pcapng',
    '<%= config.bin %> capture --install-extcap',
  ];
  static override args = {
    name: Args.string({ description: 'a running tunnel; with --install-extcap the directory (default: your own)' }),
  };
  static override flags = {
    write: Flags.string({
      char: 'w',
      helpValue: 'FILE',
      default: '-',
      description: 'where to, - for standard output',
    }),
    outer: Flags.boolean({ description: 'messages, as UDP packets' }),
    inner: Flags.boolean({ description: 'packets inside the tunnel' }),
    records: Flags.boolean({ description: 'records of TCP streams with their headers, as link type USER0' }),
    keys: Flags.boolean({ description: 'put the keys into the file: whoever has it can decrypt it' }),
    'key-file': Flags.string({
      char: 'k',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      dependsOn: ['interface'],
      description: 'with --interface: keys to decrypt with, as decode takes them',
    }),
    peer: Flags.string({
      helpValue: 'KEY',
      exclusive: ['interface'],
      description: 'only what is of the peer whose public key is, or begins with, this',
    }),
    count: Flags.integer({ char: 'c', min: 1, description: 'end after so many packets' }),
    duration: Flags.string({ helpValue: 'TIME', description: 'end after so long: 30s, 5m, 2h' }),
    snaplen: Flags.integer({ char: 's', min: 64, max: WHOLE, description: 'bytes of each packet to write' }),
    ring: Flags.string({
      helpValue: 'NxSIZE',
      description: 'write to files of that size and keep the last N, for example 10x50MB',
    }),
    interface: Flags.string({
      char: 'i',
      helpValue: 'DEV',
      description: 'watch a network interface, or "any", instead of a tunnel',
    }),
    port: Flags.integer({
      char: 'p',
      multiple: true,
      multipleNonGreedy: true,
      min: 1,
      max: 65_535,
      dependsOn: ['interface'],
      description: `with --interface: the tunnel's port (default ${DEFAULT_PORT}); may be given several times`,
    }),
    'install-extcap': Flags.boolean({
      exclusive: ['interface', 'peer', 'count', 'duration', 'ring'],
      description: 'install what Wireshark needs into its personal folders, or into the directory given',
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Capture);
    if (flags['install-extcap']) {
      for (const line of installExtcap(args.name)) this.log(line);
      return;
    }
    if ((args.name === undefined) === (flags.interface === undefined)) {
      throw new WirestreamError(
        'usage',
        'either a tunnel or --interface is wanted',
        'wirestream show interfaces lists tunnels',
      );
    }
    const ring = flags.ring === undefined ? null : parseRing(flags.ring);
    const duration = flags.duration === undefined ? 0 : parseDuration(flags.duration);
    if (flags.write === '-' && (process.stdout.isTTY || ring !== null)) {
      const why = ring === null ? 'standard output is a terminal' : '--ring needs the name of a file';
      throw new WirestreamError('usage', why, 'give a file with -w FILE, or pipe it into wireshark -k -i -');
    }
    const stop = stopAfter(onInterrupt(), duration);
    const source = args.name ?? flags.interface!;
    const setUp = (canInner: boolean): { writer: CaptureWriter; sink: CaptureSink } => {
      const { outer, inner, records } = flags;
      const all = !outer && !inner && !records;
      const contents: CaptureContents = { outer: outer || all, inner: inner || (all && canInner), records };
      const sink = new CaptureSink(flags.write, ring);
      const application = `wirestream ${this.config.version}`;
      const writer = new CaptureWriter(sink.write, { contents, application, source, snapLength: flags.snaplen ?? 0 });
      sink.begin = () => writer.begin();
      return { writer, sink };
    };
    const limit = flags.count ?? Infinity;
    const end =
      flags.interface === undefined
        ? await this.#tunnel(args.name!, flags, setUp, stop, limit)
        : await this.#wire(flags.interface, flags, setUp, stop, limit);
    if (end.gone) this.logToStderr('wirestream: the tunnel has gone away');
    const { outer, inner, records } = end.counts;
    const missing = end.dropped === 0 ? '' : `, ${end.dropped} are missing because they came too fast`;
    this.logToStderr(`wirestream: captured ${outer} outer, ${inner} inner packets, ${records} records${missing}`);
  }

  async #tunnel(
    name: string,
    flags: { keys: boolean; peer: string | undefined; snaplen: number | undefined },
    setUp: SetUp,
    stop: AbortSignal,
    limit: number,
  ): Promise<Counted> {
    if (!isInterfaceName(name)) throw new WirestreamError('usage', `'${name}' is not the name of a tunnel`);
    const path = controlSocket(runPaths(), name);
    const peer = flags.peer === undefined ? null : await peerOf(path, name, flags.peer);
    const { writer, sink } = setUp(true);
    try {
      const { outer, inner, records } = writer.contents;
      const client = await CaptureClient.open(path, {
        messages: outer || records,
        inner,
        keys: flags.keys,
        snapLength: flags.snaplen ?? WHOLE,
        ...(peer === null ? {} : { peer }),
      }).catch((error: unknown) => {
        throw noTunnel(error, name);
      });
      try {
        sink.open();
        sink.settle(true);
      } catch (error) {
        client.abandon();
        throw error;
      }
      this.logToStderr(`wirestream: capturing ${name}, Ctrl-C ends it`);
      return counted(writer, await untilClosed(async () => captureTunnel(client, writer, sink, stop, limit)));
    } finally {
      close(sink);
    }
  }

  async #wire(
    name: string,
    flags: { keys: boolean; inner: boolean; port: number[] | undefined; 'key-file': string[] | undefined },
    setUp: SetUp,
    stop: AbortSignal,
    limit: number,
  ): Promise<Counted> {
    const files = flags['key-file'] ?? [];
    if (files.length === 0 && (flags.keys || flags.inner)) {
      const what = flags.keys ? '--keys' : '--inner';
      throw new WirestreamError('usage', `${what} with --interface needs keys`, 'give them with --key-file FILE');
    }
    collectEarly();
    const provider = await fastestProvider();
    const ring = new KeyRing(provider.crypto);
    for (const known of await loadKeys(files)) ring.add(known);
    const { writer, sink } = setUp(files.length > 0);
    try {
      if (flags.keys) writer.secrets(ring.toKeyLog());
      const where = { name, ports: flags.port ?? [DEFAULT_PORT], limit };
      const ready = (): void => {
        sink.open();
        sink.settle(true);
        this.logToStderr(`wirestream: capturing on ${name}, Ctrl-C ends it`);
      };
      const capture = async (): Promise<CaptureEnd> =>
        captureWire(where, { ring, provider }, writer, sink, stop, ready);
      return counted(writer, await untilClosed(capture));
    } finally {
      close(sink);
    }
  }
}

type SetUp = (canInner: boolean) => { writer: CaptureWriter; sink: CaptureSink };
type Counted = CaptureEnd & { readonly counts: { outer: number; inner: number; records: number } };

function counted({ counts }: CaptureWriter, end: CaptureEnd): Counted {
  const [outer, inner, records] = counts;
  return { ...end, counts: { outer, inner, records } };
}

/** A reader of what is captured that has seen enough is no error. */
async function untilClosed(capture: () => Promise<CaptureEnd>): Promise<CaptureEnd> {
  try {
    return await capture();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
    return { dropped: 0, gone: false };
  }
}

function close(sink: CaptureSink): void {
  try {
    sink.close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
}

function stopAfter(interrupted: AbortSignal, seconds: number): AbortSignal {
  if (seconds === 0) return interrupted;
  // Not AbortSignal.any and AbortSignal.timeout: Node 20 collects the second while only the first refers to it.
  const controller = new AbortController();
  const end = (): void => controller.abort();
  setTimeout(end, Math.min(seconds * 1000, TIMEOUT_MAX)).unref();
  interrupted.addEventListener('abort', end);
  return controller.signal;
}

async function peerOf(path: string, name: string, text: string): Promise<Uint8Array> {
  const client = await ControlClient.open(path).catch((error: unknown) => {
    throw noTunnel(error, name);
  });
  try {
    const { peers } = await client.snapshot();
    return findPeer(
      text,
      peers.map(({ publicKey }) => formatKey(publicKey)),
    );
  } finally {
    client.close();
  }
}

function noTunnel(error: unknown, name: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM') {
    return new WirestreamError(
      'capture-forbidden',
      `the tunnel ${name} is somebody else's`,
      'run it as who brought it up',
    );
  }
  if (code !== 'ENOENT' && code !== 'ECONNREFUSED') return error;
  return new WirestreamError('no-tunnel', `there is no tunnel ${name}`, 'wirestream show interfaces lists them');
}
