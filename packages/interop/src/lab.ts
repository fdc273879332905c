import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freshKeys } from './keys.js';
import { keepEvidence } from './report/evidence.js';
import { failureReport } from './report/failure.js';
import type { Recorder } from './record/recorder.js';
import type { Entry } from './scenario/catalogue.js';
import { Context } from './scenario/context.js';
import { makePlan, type Plan } from './scenario/plan.js';
import { runScenario, type Result } from './scenario/runner.js';
import { KernelEnd, type KernelOptions } from './sides/kernelend.js';
import { OurEnd } from './sides/ourend.js';
import { NamespaceShell, type Shell } from './sides/shell.js';
import type { Machine } from './vm/qemu.js';

/** Networks that are made: 0 for one scenario after the other, the rest for those that run beside them. */
export const NETWORKS = 3;
/** Outer interface on our side. */
export const TAP = 'tap0';

/** What plays the kernel. */
export interface Opponent {
  readonly description: string;
  readonly shell: Shell;
  readonly options: KernelOptions;
  /** why it cannot carry WireGuard over TCP; null when it can */
  readonly noTcp: string | null;
  /** by how much it is slower than a machine of its own would be */
  readonly slowness: number;
  stop(): Promise<void>;
}

export interface LabOptions {
  readonly command: readonly string[];
  /** temporary files */
  readonly folder: string;
  readonly results: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  readonly recorder: Recorder | null;
}

/** Runs scenarios on both ends. */
export class Lab {
  #runs = 0;

  constructor(
    private readonly opponent: Opponent,
    private readonly options: LabOptions,
  ) {}

  /** One scenario from nothing to nothing. */
  async run(entry: Entry, network: number): Promise<Result> {
    const { opponent, options } = this;
    if (entry.transport === 'tcp' && opponent.noTcp !== null) {
      return runScenario({ name: entry.name, steps: [], skip: opponent.noTcp }, null);
    }
    const plan = makePlan(network, entry.transport, entry.family, entry.psk, freshKeys());
    const folder = join(options.folder, `run-${this.#runs++}`);
    const us = new OurEnd(options.command, plan, TAP, folder);
    const kernel = new KernelEnd(opponent.shell, plan, opponent.options);
    const context = new Context(plan, us, kernel);
    const clean = async (): Promise<void> => {
      await Promise.all([us.remove(), kernel.remove().catch(() => undefined), context.proxy?.close()]);
    };
    const began = Date.now() / 1000;
    let result: Result;
    try {
      await options.recorder?.begin();
      result = await runScenario(entry, context, undefined, options.signal, opponent.slowness);
      if (result.verdict === 'passed') {
        const complaint = await options.recorder?.end(entry, context).catch((error: Error) => error.message);
        if (typeof complaint === 'string') result = { ...result, verdict: 'failed', reason: complaint };
      }
      if (result.verdict === 'failed') await this.#keep(result, context, began);
    } finally {
      await clean();
      await this.#addresses(plan).catch(() => undefined);
      rmSync(folder, { recursive: true, force: true });
    }
    return result;
  }

  /** Outer addresses of both ends as they were, and no neighbours that a cut path has left. */
  async #addresses(plan: Plan): Promise<void> {
    const script = (device: string, end: Plan['us']): string =>
      `ip addr replace ${end.outer[4]}/24 dev ${device}; ip addr replace ${end.outer[6]}/64 dev ${device} nodad; ` +
      `for a in ${end.spare[4]}/24 ${end.spare[6]}/64; do ip addr del $a dev ${device} 2>/dev/null; done; ` +
      `ip neigh flush dev ${device} nud permanent 2>/dev/null; true`;
    await new NamespaceShell(null).run(script(TAP, plan.us), 20);
    await this.opponent.shell.run(script(this.opponent.options.device, plan.kernel), 20);
  }

  /** Writes down what there is about a failure, and tells it. */
  async #keep(result: Result, context: Context, began: number): Promise<void> {
    const kept = join(this.options.results, result.name.replace(/[^A-Za-z0-9]+/g, '-'));
    result.kept = kept;
    const report = failureReport(result, await keepEvidence(kept, context, this.options.command, began));
    writeFileSync(join(kept, 'report.txt'), report);
    this.options.say(report);
  }
}

/** Our side of the networks, on a device that exists already. */
export function ourNetwork(): void {
  sysctl();
  ip(['link set lo up', ...addresses(TAP, 'us')]);
}

function addresses(device: string, side: 'us' | 'kernel'): string[] {
  const lines = [`link set ${device} up`];
  for (let network = 0; network < NETWORKS; network++) {
    const { outer } = makePlan(network, 'udp', 4, false, freshKeys())[side];
    lines.push(`addr add ${outer[4]}/24 dev ${device}`, `addr add ${outer[6]}/64 dev ${device} nodad`);
  }
  return lines;
}

/** The other side's, as a script for its shell. */
export function theirNetwork(device: string): string {
  return ['set -e', ...addresses(device, 'kernel').map((line) => `ip ${line}`)].join('\n');
}

export function ip(lines: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n`, encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip: ${stderr.trim()}`);
}

function sysctl(): void {
  for (const key of ['all', 'default']) {
    writeFileSync(`/proc/sys/net/ipv6/conf/${key}/accept_dad`, '0');
  }
}

/** A virtual machine as the opponent. @throws Error when its module does not load */
export async function machineOpponent(machine: Machine, packaged: string, own: boolean): Promise<Opponent> {
  if (/wireguard/.test(machine.hello)) throw new Error(`modules that did not load in the guest: ${machine.hello}`);
  const must = async (script: string): Promise<void> => {
    const { status, bytes } = await machine.agent.run(script, 60);
    if (status !== 0) throw new Error(`in the guest: ${bytes.toString('utf8').trim()}`);
  };
  await must(theirNetwork('eth0'));
  return {
    description: `Linux ${machine.hello} (${packaged}${own ? ', own wireguard.ko' : ''}) under ${machine.accelerator}`,
    shell: machine.agent,
    options: { messages: 'dmesg', device: 'eth0', folder: '/tmp' },
    noTcp: await lacksTcp(machine.agent),
    slowness: machine.accelerator === 'tcg' ? 3 : 1,
    stop: async () => machine.stop(),
  };
}

/** @returns why a kernel's WireGuard and its wg have no TCP transport; null when they do */
export async function lacksTcp(shell: Shell): Promise<string | null> {
  const { status, bytes } = await shell.run(
    'ip link add wgprobe type wireguard && wg set wgprobe transport tcp; s=$?; ip link del wgprobe; exit $s',
    30,
  );
  if (status === 0) return null;
  const said = bytes.toString('utf8').split('\n')[0]!.trim();
  return `the module has no TCP transport (wg set transport tcp: ${said}); --module and --wg give one that has`;
}

/** Another network namespace of this host as the opponent's, behind a veth pair. It lives as long as this process does. */
export async function namespaceOpponent(
  folder: string,
  standIn: { readonly wirestream: readonly string[]; readonly daemon: readonly string[] } | null,
): Promise<Opponent> {
  const holder: ChildProcess = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
  await new Promise<void>((resolve, reject) => {
    holder.once('error', reject);
    holder.once('spawn', resolve);
  });
  const pid = holder.pid!;
  const own = namespaceOf('self');
  for (let i = 0; namespaceOf(pid) === own; i++) {
    if (i > 100) throw new Error('unshare made no namespace');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  ip([`link add ${TAP} type veth peer name eth0 netns ${pid}`]);
  const shell = new NamespaceShell(pid);
  const made = await shell.run(
    `sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; ip link set lo up; ${theirNetwork('eth0')}`,
    30,
  );
  if (made.status !== 0) throw new Error(made.bytes.toString('utf8').trim());
  const state = join(folder, 'other');
  mkdirSync(state, { recursive: true });
  const common = { messages: 'dmesg', device: 'eth0', folder: state };
  const quoted = (words: readonly string[]): string => words.map((w) => `'${w}'`).join(' ');
  const stop = async (): Promise<void> => {
    holder.kill('SIGKILL');
  };
  if (standIn !== null) {
    return {
      description: 'a second wirestream in place of the kernel',
      shell,
      options: {
        ...common,
        messages: `cat ${state}/daemon.log 2>/dev/null`,
        preamble: `export WIRESTREAM_RUN_DIR='${state}'; wg() { ${quoted(standIn.wirestream)} "$@"; }; `,
        create: (name, transport) =>
          // A kernel makes no announcements, and heeds none.
          `LOG_LEVEL=verbose WIRESTREAM_TRANSPORT=${transport} ${quoted(standIn.daemon)} ${name} >>${state}/daemon.log 2>&1 && wg set ${name} extensions off`,
      },
      noTcp: null,
      slowness: 1,
      stop,
    };
  }
  const { status, bytes } = await shell.run('ip link add wgprobe type wireguard && ip link del wgprobe', 20);
  if (status !== 0) {
    await stop();
    throw new Error(
      `this machine's kernel cannot make WireGuard interfaces (ip link add type wireguard: ${bytes.toString('utf8').trim()}): ` +
        'see whether `modprobe wireguard` finds its module; without --host-kernel, a kernel that has it is booted in a virtual machine',
    );
  }
  const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  return {
    description: `Linux ${release}, this host's`,
    shell,
    options: common,
    noTcp: await lacksTcp(shell),
    slowness: 1,
    stop,
  };
}

function namespaceOf(pid: number | 'self'): string {
  return spawnSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' }).stdout.trim();
}
