import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MTU, allowedIps, type Plan } from '../scenario/plan.js';
import { captureScript, must, stopCaptureScript } from './capturing.js';
import { parseDump, type End, type PeerState } from './end.js';
import { moveScript } from './kernelend.js';
import { NamespaceShell, runProgram } from './shell.js';

/** Our end: the built command in this process's network namespace, in the foreground, with its state in a folder of its own. */

const LIMIT = 30;
/** Seconds until an interface of ours is up on a busy machine. */
const START = 60;

export class OurEnd implements End {
  readonly side = 'us' as const;
  readonly name: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #shell: NamespaceShell;
  #child: ChildProcess | null = null;
  #endpoint: string | null = null;
  #capturing = false;
  /** length of the log when the process was started */
  #logged = 0;

  /**
   * @param command the program and its first arguments
   * @param outerDevice interface that the tunnel's packets leave by
   * @param folder files of this run, emptied before
   */
  constructor(
    private readonly command: readonly string[],
    private readonly plan: Plan,
    readonly outerDevice: string,
    readonly folder: string,
  ) {
    this.name = `ws${plan.network}`;
    this.#env = { ...process.env, WIRESTREAM_RUN_DIR: join(folder, 'run') };
    this.#shell = new NamespaceShell(null, this.#env);
    mkdirSync(folder, { recursive: true });
  }

  get keyLog(): string {
    return join(this.folder, 'us.keys');
  }

  async up(): Promise<void> {
    const { us, kernel, transport, presharedKey } = this.plan;
    const lines = [
      '[Interface]',
      `PrivateKey = ${us.privateKey}`,
      `ListenPort = ${us.port}`,
      `Address = ${us.inner[4]}/24, ${us.inner[6]}/64`,
      `MTU = ${MTU}`,
      `Transport = ${transport}`,
      '[Peer]',
      `PublicKey = ${kernel.publicKey}`,
      ...(presharedKey === null ? [] : [`PresharedKey = ${presharedKey}`]),
      `AllowedIPs = ${allowedIps(kernel)}`,
      ...(this.#endpoint === null ? [] : [`Endpoint = ${this.#endpoint}`]),
    ];
    const file = join(this.folder, `${this.name}.conf`);
    writeFileSync(file, lines.join('\n') + '\n', { mode: 0o600 });
    this.#logged = this.#said().length;
    const log = openSync(join(this.folder, 'us.log'), 'a');
    const [program, ...args] = [...this.command, 'up', '-f', '--key-log', this.keyLog, file];
    const child = spawn(program!, args, { stdio: ['ignore', log, log], env: this.#env });
    closeSync(log);
    this.#child = child;
    const deadline = Date.now() + START * 1000;
    while (!(await this.#ready())) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`wirestream up ended: ${this.#said()}`);
      if (Date.now() > deadline) throw new Error(`wirestream up took longer than ${START} s: ${this.#said()}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** Ends the process without a warning, as a crash would, and waits until it and its interface are gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async remove(): Promise<void> {
    await this.#end('SIGTERM');
    await this.#shell.run(`ip link del ${this.name} 2>/dev/null`, LIMIT);
  }

  async setEndpoint(endpoint: string): Promise<void> {
    this.#endpoint = endpoint;
    await this.#set('endpoint', endpoint);
  }

  async setKeepalive(seconds: number): Promise<void> {
    await this.#set('persistent-keepalive', `${seconds}`);
  }

  async peer(): Promise<PeerState> {
    return parseDump(await this.wirestream('show', this.name, 'dump'));
  }

  async shown(): Promise<string> {
    return this.wirestream('show', this.name);
  }

  /** Runs the command on this end's tunnel. @returns what it printed */
  async wirestream(...args: string[]): Promise<string> {
    const [program, ...first] = this.command;
    const output = await runProgram(program!, [...first, ...args], LIMIT, this.#env);
    return must(output, `wirestream ${args.join(' ')}`).toString('utf8');
  }

  async sh(script: string, limit = LIMIT, mayFail = false): Promise<string> {
    const output = await this.#shell.run(script, limit);
    return (mayFail ? output.bytes : must(output, `us: ${script}`)).toString('utf8');
  }

  async move(family: 4 | 6, from: string, to: string): Promise<void> {
    await this.sh(moveScript(this.outerDevice, family, from, to));
  }

  async startCapture(): Promise<void> {
    this.#capturing = true;
    const { us, kernel } = this.plan;
    const ports = `port ${us.port} or port ${kernel.port}`;
    await this.sh(captureScript(this.side, join(this.folder, 'us-outer.pcap'), this.outerDevice, ports));
    await this.sh(captureScript(this.side, join(this.folder, 'us-inner.pcap'), this.name, ''));
  }

  async collect(): Promise<Map<string, Buffer>> {
    const files = new Map<string, Buffer>([['us.log', Buffer.from(this.#said())]]);
    if (!this.#capturing) return files;
    this.#capturing = false;
    for (const kind of ['us-outer.pcap', 'us-inner.pcap']) {
      const file = join(this.folder, kind);
      await this.#shell.run(stopCaptureScript(file), LIMIT);
      if (existsSync(file)) files.set(kind, readFileSync(file));
    }
    if (existsSync(this.keyLog)) files.set('us.keys', readFileSync(this.keyLog));
    return files;
  }

  async #ready(): Promise<boolean> {
    if (!this.#said().slice(this.#logged).includes(`${this.name} is up`)) return false;
    return (await this.#shell.run(`ip link show up dev ${this.name}`, LIMIT)).status === 0;
  }

  async #set(key: string, value: string): Promise<void> {
    await this.wirestream('set', this.name, 'peer', this.plan.kernel.publicKey, key, value);
  }

  #said(): string {
    const file = join(this.folder, 'us.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(timer);
  }
}
