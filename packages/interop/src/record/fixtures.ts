import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry } from '../scenario/catalogue.js';
import type { Context } from '../scenario/context.js';
import { MTU, hostOf, sideOf, type EndPlan, type Side } from '../scenario/plan.js';
import { must } from '../sides/capturing.js';
import type { PeerState } from '../sides/end.js';
import { runProgram, type Shell } from '../sides/shell.js';
import { derive, parseLines, type Party } from './derive.js';
import { publicOf, readProbe, startProbe } from './kprobe.js';
import { packetsOf, surplus } from './pcap.js';
import type { Recorder } from './recorder.js';

/** Writes what passed scenarios put on the wire as fixtures, in the form of fixtures/kernel: A is wirestream, B the kernel. */

export interface Recorded {
  /** kernel and package, in words */
  readonly kernel: string;
  readonly module: string;
  readonly shell: Shell;
}

export class FixtureRecorder implements Recorder {
  /**
   * @param command wirestream and its first arguments
   * @param folder is made when it is not there
   */
  constructor(
    private readonly folder: string,
    private readonly command: readonly string[],
    private readonly kernel: Recorded,
  ) {
    mkdirSync(folder, { recursive: true });
  }

  async begin(): Promise<void> {
    await startProbe(this.kernel.shell);
  }

  async end(entry: Entry, context: Context): Promise<void> {
    // Through the proxy, connections have other ends than those of the tunnel.
    if (context.proxy !== null) return;
    const { plan } = context;
    const [ours, theirs] = await Promise.all([context.us.peer(), context.kernel.peer()]);
    const countersRead = Date.now() / 1000;
    const trace = await readProbe(this.kernel.shell);
    const files = await context.us.collect();
    const [outer, inner, keyLog] = ['us-outer.pcap', 'us-inner.pcap', 'us.keys'].map((name) => {
      const bytes = files.get(name);
      if (bytes === undefined) throw new Error(`--record: ${name} is missing`);
      return bytes;
    }) as [Buffer, Buffer, Buffer];
    const name = `kernel-${entry.name.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase()}`;
    const path = (suffix: string): string => join(this.folder, `${name}${suffix}`);
    writeFileSync(path('.pcap'), outer);
    writeFileSync(path('.inner.pcap'), inner);
    const sidecar: Record<string, unknown> = {
      name,
      description: `${entry.name}: ${entry.steps.map(({ side, text }) => `${side}: ${text}`).join('; ')}`,
      kernel: this.kernel.kernel,
      module: this.kernel.module,
      transport: plan.transport,
      capture: {
        file: `${name}.pcap`,
        point: "A's outer interface, no packet truncated",
        offloads: 'off in the guest (checksum, tso)',
        inner_file: `${name}.inner.pcap`,
        inner_point: "A's tunnel interface (plaintext, link type raw IP)",
      },
      A: this.#party(context, 'us', ours),
      B: this.#party(context, 'kernel', theirs),
      preshared_key: plan.presharedKey,
      counters_read_at_unix: countersRead,
      pings: context.pings.map(({ from, to, payloadBytes, sent, received }) => ({
        from: from === 'us' ? 'A' : 'B',
        to,
        payload_bytes: payloadBytes,
        sent,
        received,
      })),
      events: context.events.map(({ at, what }) => ({ t: at, what })),
    };
    const sides = [logged(keyLog.toString('utf8')), trace];
    const lines = parseLines(
      await this.#decode(
        path('.pcap'),
        { ...sidecar, handshake_ephemeral_private_keys: sides.flat().map(base64) },
        '--json',
      ),
    );
    const made = ephemerals(lines, sides);
    sidecar['derived_from_capture'] = derive(lines, partyOf(context), packetsOf(outer)[0]!.seconds, countersRead);
    sidecar['handshake_ephemeral_private_keys'] = made.map(base64);
    const seen = packetsOf(inner).map(({ bytes }) => bytes);
    await this.#decode(path('.pcap'), sidecar, '--summary', '--write-inner', path('.decrypted.pcap'));
    const decrypted = packetsOf(readFileSync(path('.decrypted.pcap'))).map(({ bytes }) => bytes);
    rmSync(path('.decrypted.pcap'));
    sidecar['inner_check'] = {
      plaintext_packets_decrypted: decrypted.length,
      packets_in_inner_capture: seen.length,
      decrypted_not_in_inner: surplus(decrypted, seen),
      inner_not_decrypted: surplus(seen, decrypted),
    };
    sidecar['notes'] =
      'Recorded by `npm run interop -- --record`. A is wirestream, B is the kernel; derived_from_capture was worked out by `wirestream decode`, ' +
      "the counters were read from both ends, B's ephemeral keys from the running kernel.";
    writeFileSync(path('.json'), `${JSON.stringify(sidecar, null, 1)}\n`);
  }

  #party({ plan }: Context, side: Side, state: PeerState): Record<string, unknown> {
    const end: EndPlan = plan[side];
    return {
      private_key: end.privateKey,
      public_key: end.publicKey,
      outer_address: end.outer[plan.family],
      other_outer_addresses: [end.spare[plan.family]],
      listen_port: end.port,
      tunnel_addresses: [end.inner[4], end.inner[6]],
      tunnel_mtu: MTU,
      at_end: {
        peer_public_key: plan[side === 'us' ? 'kernel' : 'us'].publicKey,
        peer_endpoint: state.endpoint,
        allowed_ips: state.allowedIps,
        latest_handshake_unix: state.latestHandshake,
        transfer_rx_bytes: state.rx,
        transfer_tx_bytes: state.tx,
        persistent_keepalive: state.keepalive,
      },
    };
  }

  async #decode(capture: string, sidecar: unknown, ...flags: string[]): Promise<string> {
    const keys = `${capture}.keys.json`;
    writeFileSync(keys, JSON.stringify(sidecar), { mode: 0o600 });
    try {
      const [program, ...args] = this.command;
      const output = await runProgram(program!, [...args, 'decode', ...flags, '--keys', keys, capture], 120);
      return must(output, `--record: decode ${capture}`).toString('utf8');
    } finally {
      rmSync(keys);
    }
  }
}

/** Ephemeral private keys in a Wireshark key log. */
function logged(text: string): Buffer[] {
  return [...text.matchAll(/^LOCAL_EPHEMERAL_PRIVATE_KEY = (\S+)$/gm)].map((match) => Buffer.from(match[1]!, 'base64'));
}

/**
 * The private keys of all handshake messages that were made: those of the capture in its order, and between them, next to what the same side made before or
 * after, those of messages that were never sent (fixtures/kernel, tcp-handshake-ping-v4, has some).
 * @param made by each side, in order
 * @throws Error when a message's is missing: then the kernel keeps them elsewhere, and the fixture could not be decrypted
 */
export function ephemerals(lines: ReturnType<typeof parseLines>, made: readonly (readonly Buffer[])[]): Buffer[] {
  const sent = new Set<string>();
  const byPublic = new Set(made.flat().map(publicOf));
  for (const { type, wg, frame } of lines) {
    if (type !== 'message' || (wg.type !== 1 && wg.type !== 2)) continue;
    if (!byPublic.has(wg.ephemeral as string))
      throw new Error(`--record: no private key for the handshake message in frame ${frame}`);
    sent.add(wg.ephemeral as string);
  }
  const out: Buffer[] = [];
  const left = made.map((keys) => [...keys]);
  for (const shown of sent) {
    const side = left.find((keys) => keys.some((key) => publicOf(key) === shown));
    if (side === undefined) continue;
    // Those before it that were not sent, and itself.
    out.push(...side.splice(0, side.findIndex((key) => publicOf(key) === shown) + 1));
  }
  return [...out, ...left.flat()];
}

function partyOf({ plan }: Context): (endpoint: string) => Party {
  return (endpoint) => (sideOf(hostOf(endpoint), plan) === 'kernel' ? 'B' : 'A');
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64');
}
