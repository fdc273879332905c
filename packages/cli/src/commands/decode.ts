import { Args, Command, Flags } from '@oclif/core';
import { coloured, plain } from '@wirestream/core/capture/paint';
import { isWirestreamError, WirestreamError } from '@wirestream/core/device/errors';
import { Decoder, type DecodeOptions } from '../decode/decode.js';
import { followCapture, readCapture, readable } from '../decode/input.js';
import { loadKeys } from '../decode/keys.js';
import { collectEarly } from '../decode/memory.js';
import { CaptureOutput, LineOutput } from '../decode/output.js';
import { refuseOverwriting } from '../decode/overwrite.js';
import { fastestProvider } from '../decode/provider.js';
import { withStalls } from '../decode/stall.js';
import { onInterrupt } from '../interrupt.js';
import { report } from '../report.js';

/** What waits to be summed up is shown when nothing has come for that long, ms. */
const STALL = 250;
/** Errors of one capture that are told one by one. */
const ERRORS_TOLD = 3;

export default class Decode extends Command {
  static override summary = 'Decode a capture of WireGuard over TCP or UDP.';
  static override description = `Reads pcap and pcapng of any byte order, plain or compressed with gzip, and tells what happened: connections, records, handshakes, data, what was lost, and what could not be decoded and why. With keys, handshakes are verified and data is decrypted.

Keys come from wg-quick files, Wireshark key logs, the JSON sidecars of recorded captures, and from a capture's own secrets block. Transport data needs the static and ephemeral private keys of one side; static keys alone open initiations.

--json prints JSON Lines: one object per event with "type" (interface, connection, message, handshake, resync, skip, gap, notice, peers), and the summary last. What Wireshark calls wg.* is in the member "wg".

The exit code is 1 when the capture is damaged or cut off; what could be read of it is shown all the same.`;
  static override examples = [
    '<%= config.bin %> decode tunnel.pcap',
    '<%= config.bin %> decode --keys /etc/wireguard/wg0.conf --keys wg.keylog --summary tunnel.pcapng.gz',
    '<%= config.bin %> decode --json tunnel.pcap | jq \'select(.type == "handshake")\'',
    'tcpdump -i eth0 -U -w - port 51820 | <%= config.bin %> decode -',
    '<%= config.bin %> decode --follow --keys wg.keylog growing.pcap',
    '<%= config.bin %> decode --svg chart.svg --summary tunnel.pcap',
    '<%= config.bin %> decode --keys wg.keylog --write-inner - tunnel.pcap | tcpdump -r -',
  ];
  static override args = {
    file: Args.string({ description: 'a capture file, or - for standard input', required: true }),
  };
  static override flags = {
    keys: Flags.string({
      char: 'k',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      description: 'where keys are; may be given several times',
    }),
    json: Flags.boolean({ description: 'print JSON Lines' }),
    summary: Flags.boolean({
      char: 's',
      description: 'print only the summary, with each connection and each pair of peers',
    }),
    all: Flags.boolean({
      char: 'a',
      description: 'one line for each message instead of one for each run of data',
      exclusive: ['json', 'summary'],
    }),
    follow: Flags.boolean({
      char: 'f',
      description: 'go on reading as the file grows, until Ctrl-C',
    }),
    svg: Flags.string({
      helpValue: 'FILE',
      description: 'write a sequence chart of connections, handshakes and carrier changes',
    }),
    'write-inner': Flags.string({
      helpValue: 'FILE',
      description: 'write the decrypted packets to a capture (classic pcap if it ends in .pcap)',
    }),
    'to-udp': Flags.string({
      helpValue: 'FILE',
      description: 'write each message as the UDP packet that it would have been to a pcapng',
    }),
    'embed-keys': Flags.boolean({
      description: 'put the given keys into the --to-udp file, so that Wireshark decrypts it by itself',
      dependsOn: ['to-udp', 'keys'],
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Decode);
    const outputs = [flags['write-inner'], flags['to-udp'], flags.svg].filter((file) => file !== undefined);
    const toStdout = outputs.filter((file) => file === '-').length;
    if (toStdout > 1 || (toStdout === 1 && flags.json)) {
      throw new WirestreamError('usage', 'only one thing can go to standard output', 'write the others to files');
    }
    if (args.file === '-' && process.stdin.isTTY) {
      throw new WirestreamError('usage', 'standard input is a terminal', 'give a capture file, or pipe one in');
    }
    if (args.file === '-' && flags.follow) {
      throw new WirestreamError('usage', '--follow is for files: standard input is read until it ends anyway');
    }
    if (args.file !== '-') await readable(args.file);
    refuseOverwriting(outputs, [args.file, ...(flags.keys ?? [])]);
    collectEarly();
    const keys = await loadKeys(flags.keys ?? []);
    const out = new LineOutput(process.stdout);
    const files: CaptureOutput[] = [];
    const open = (file: string): CaptureOutput => {
      const output = new CaptureOutput(file);
      files.push(output);
      return output;
    };
    const options: DecodeOptions = {
      file: args.file,
      keys,
      form: toStdout === 1 ? 'none' : flags.json ? 'json' : 'text',
      summary: flags.summary,
      all: flags.all,
      paint: process.stdout.isTTY && process.env['NO_COLOR'] === undefined ? coloured : plain,
      provider: await fastestProvider(),
      application: `wirestream ${this.config.version}`,
      line: out.line,
      ...(flags['write-inner'] === undefined ? {} : { inner: innerOutput(flags['write-inner'], open) }),
      ...(flags['to-udp'] === undefined
        ? {}
        : { udp: { write: open(flags['to-udp']).write, withKeys: flags['embed-keys'] } }),
      ...(flags.svg === undefined ? {} : { svg: open(flags.svg).write }),
    };
    try {
      await this.#decode(options, out, flags.follow ? onInterrupt() : null);
    } catch (error) {
      // A reader of what goes to standard output that has seen enough is no error.
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
    } finally {
      await out.settle(true);
      for (const file of files) file.close();
    }
  }

  /** @param until when to stop following the file; null: at its end */
  async #decode(options: DecodeOptions, out: LineOutput, until: AbortSignal | null): Promise<void> {
    const decoder = new Decoder(options);
    let broken: WirestreamError | undefined;
    try {
      const chunks = until === null ? readCapture(options.file) : followCapture(options.file, until);
      for await (const chunk of options.file === '-' || until !== null ? withStalls(chunks, STALL) : chunks) {
        if (chunk === null) decoder.pause();
        else decoder.push(chunk);
        await out.settle(chunk === null);
      }
    } catch (error) {
      // A file that breaks off is decoded as far as it goes; one that is no capture at all is not.
      if (!isWirestreamError(error) || (error.code !== 'capture-truncated' && error.code !== 'capture-damaged'))
        throw error;
      broken = error;
    }
    const { errors, remarks, tally } = decoder.end(broken);
    await out.settle(true);
    for (const remark of remarks) this.logToStderr(`wirestream: ${remark}`);
    for (const error of errors.slice(0, ERRORS_TOLD)) process.exitCode = report(error);
    const more = tally.errors - Math.min(ERRORS_TOLD, errors.length);
    if (more > 0) this.logToStderr(`wirestream: ${options.file}: and ${more} more places where it is damaged`);
  }
}

function innerOutput(file: string, open: (file: string) => CaptureOutput): NonNullable<DecodeOptions['inner']> {
  return { write: open(file).write, format: /\.pcap$/i.test(file) ? 'pcap' : 'pcapng' };
}
