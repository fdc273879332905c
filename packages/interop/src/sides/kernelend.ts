import { MTU, allowedIps, type EndPlan, type Plan } from '../scenario/plan.js';
import { captureScript, must, stopCaptureScript } from './capturing.js';
import { parseDump, type End, type PeerState } from './end.js';
import type { Shell } from './shell.js';

/** The kernel's end: its WireGuard driven by ip(8) and wg(8), in the guest or in a namespace. */

export interface KernelOptions {
  /** commands that come before every script */
  readonly preamble?: string;
  /** makes an interface of a name */
  readonly create?: (name: string, transport: string) => string;
  /** prints the kernel's messages */
  readonly messages: string;
  /** outer interface */
  readonly device: string;
  /** for files of the scripts */
  readonly folder: string;
}

/** Seconds; on an emulated machine that gets little time, a short command has taken 20. */
const LIMIT = 60;

export class KernelEnd implements End {
  readonly side = 'kernel' as const;
  readonly #me: EndPlan;
  readonly name: string;
  readonly folder: string;
  readonly outerDevice: string;
  #log = '';
  #capturing = false;

  constructor(
    private readonly shell: Shell,
    private readonly plan: Plan,
    private readonly options: KernelOptions,
  ) {
    this.#me = plan.kernel;
    this.name = `wg${plan.network}`;
    this.folder = options.folder;
    this.outerDevice = options.device;
  }

  async up(): Promise<void> {
    const { name } = this;
    const { us, presharedKey, transport } = this.plan;
    const create = this.options.create?.(name, transport) ?? `ip link add ${name} type wireguard`;
    this.#log = `\n${await this.#messages()}`;
    await this.sh(
      [
        'set -e; umask 077',
        `echo ${this.#me.privateKey} >${this.#file('key')}; echo ${presharedKey ?? ''} >${this.#file('psk')}`,
        create,
        // Transport is fixed while the link is up.
        ...(transport === 'tcp' && this.options.create === undefined ? [`wg set ${name} transport tcp`] : []),
        `wg set ${name} private-key ${this.#file('key')} listen-port ${this.#me.port}`,
        `wg set ${name} peer ${us.publicKey} allowed-ips ${allowedIps(us)}` +
          (presharedKey === null ? '' : ` preshared-key ${this.#file('psk')}`),
        `ip addr add ${this.#me.inner[4]}/24 dev ${name}; ip addr add ${this.#me.inner[6]}/64 dev ${name} nodad`,
        `ip link set ${name} mtu ${MTU} up`,
      ].join('\n'),
    );
  }

  async remove(): Promise<void> {
    await this.sh(`ip link del ${this.name}; rm -f ${this.#file('*')}`, LIMIT, true);
  }

  async setEndpoint(endpoint: string): Promise<void> {
    await this.sh(`wg set ${this.name} peer ${this.plan.us.publicKey} endpoint ${endpoint}`);
  }

  async setKeepalive(seconds: number): Promise<void> {
    await this.sh(`wg set ${this.name} peer ${this.plan.us.publicKey} persistent-keepalive ${seconds}`);
  }

  async peer(): Promise<PeerState> {
    return parseDump(await this.sh(`wg show ${this.name} dump`));
  }

  async shown(): Promise<string> {
    return this.sh(`wg show ${this.name}`);
  }

  async sh(script: string, limit = LIMIT, mayFail = false): Promise<string> {
    const output = await this.shell.run(`${this.options.preamble ?? ''}${script}`, limit);
    return (mayFail ? output.bytes : must(output, `kernel: ${script}`)).toString('utf8');
  }

  async move(family: 4 | 6, from: string, to: string): Promise<void> {
    await this.sh(moveScript(this.outerDevice, family, from, to));
  }

  async startCapture(): Promise<void> {
    this.#capturing = true;
    const port = `port ${this.#me.port}`;
    await this.sh(captureScript(this.side, this.#file('outer.pcap'), this.outerDevice, port));
    await this.sh(captureScript(this.side, this.#file('inner.pcap'), this.name, ''));
  }

  async collect(): Promise<Map<string, Buffer>> {
    const files = new Map<string, Buffer>();
    const now = await this.#messages();
    files.set('kernel.log', Buffer.from(newLines(this.#log, now)));
    if (!this.#capturing) return files;
    this.#capturing = false;
    for (const kind of ['outer', 'inner']) {
      const file = this.#file(`${kind}.pcap`);
      const output = await this.shell.run(`${stopCaptureScript(file)}; cat ${file}`, LIMIT);
      if (output.status === 0) files.set(`kernel-${kind}.pcap`, output.bytes);
    }
    return files;
  }

  async #messages(): Promise<string> {
    return (await this.shell.run(this.options.messages, LIMIT)).bytes.toString('utf8');
  }

  #file(kind: string): string {
    return `${this.folder}/${this.name}.${kind}`;
  }
}

/** Lines of a growing log that were not there before; all of it when it has been cut meanwhile. */
export function newLines(before: string, now: string): string {
  const last = before.trimEnd().split('\n').at(-1) ?? '';
  const at = last === '' ? -1 : now.lastIndexOf(`${last}\n`);
  return at < 0 ? now : now.slice(at + last.length + 1);
}

/** The new address is there before the old one goes, so that routes stay. */
export function moveScript(device: string, family: 4 | 6, from: string, to: string): string {
  const [bits, flags] = family === 4 ? [24, ''] : [64, ' nodad'];
  // Without it the kernel takes an IPv4 network's other addresses away with its first one.
  const promote = family === 4 ? `sysctl -qw net.ipv4.conf.${device}.promote_secondaries=1; ` : '';
  return `${promote}ip addr add ${to}/${bits} dev ${device}${flags} && ip addr del ${from}/${bits} dev ${device}`;
}
