import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Agent, Agents } from './agent.js';
import { PORTS, PORT_NAME } from './guestinit.js';

/** A virtual machine: one processor, one tap, one serial line that is logged, one port for commands. */

export type Accelerator = 'kvm' | 'tcg';

export interface MachineOptions {
  readonly kernel: string;
  readonly initramfs: Buffer;
  /** existing tap device in this network namespace */
  readonly tap: string;
  /** packets on the tap as they would be on a wire: no offloads */
  readonly plainPackets: boolean;
  /** for the socket, the initramfs and the console's log */
  readonly folder: string;
}

/** Where KVM works at all, the guest is up in two or three seconds. */
const KVM_PATIENCE = 10_000;
/** Emulated on a busy machine it has taken 40 s. */
const TCG_PATIENCE = 150_000;
const NO_OFFLOADS =
  ',csum=off,gso=off,host_tso4=off,host_tso6=off,host_ufo=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ufo=off';
const MEMORY_MIB = 640;

interface Platform {
  readonly program: string;
  readonly machine: readonly string[];
  readonly processor: string;
  readonly console: string;
}

const PLATFORMS: Readonly<Record<string, Platform>> = {
  x64: { program: 'qemu-system-x86_64', machine: ['-machine', 'q35'], processor: 'max', console: 'ttyS0' },
  arm64: { program: 'qemu-system-aarch64', machine: ['-machine', 'virt'], processor: 'max', console: 'ttyAMA0' },
};

/** The emulator for this machine's architecture, and Debian's package of it; null for others. */
export function emulator(arch = process.arch as string): { program: string; packaged: string } | null {
  const platform = PLATFORMS[arch];
  if (platform === undefined) return null;
  return { program: platform.program, packaged: arch === 'x64' ? 'qemu-system-x86' : 'qemu-system-arm' };
}

export class Machine {
  private constructor(
    readonly accelerator: Accelerator,
    readonly agent: Agents,
    /** greeting of the guest: kernel release, and what did not load */
    readonly hello: string,
    readonly consoleLog: string,
    private readonly child: ChildProcess,
    private readonly server: Server,
  ) {}

  /** Under KVM when that works, else emulated. @throws Error with what the machine said last */
  static async boot(options: MachineOptions, say: (line: string) => void): Promise<Machine> {
    if (existsSync('/dev/kvm')) {
      try {
        return await Machine.start('kvm', options, KVM_PATIENCE);
      } catch (error) {
        say(`KVM does not work here (${(error as Error).message.split('\n')[0]}): emulating`);
      }
    }
    return Machine.start('tcg', options, TCG_PATIENCE);
  }

  static async start(accelerator: Accelerator, options: MachineOptions, patience: number): Promise<Machine> {
    const initramfs = join(options.folder, 'initramfs.cpio');
    const path = join(options.folder, `agent-${accelerator}`);
    const consoleLog = join(options.folder, `console-${accelerator}.log`);
    writeFileSync(initramfs, options.initramfs);
    const server = createServer();
    const agents: Agent[] = [];
    const connected = new Promise<void>((resolve) =>
      server.on('connection', (port: Socket) => {
        agents.push(new Agent(port));
        if (agents.length === PORTS) resolve();
      }),
    );
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const platform = PLATFORMS[process.arch]!;
    const child = spawn(
      platform.program,
      machineArguments(platform, accelerator, options, initramfs, path, consoleLog),
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    let complaint = '';
    child.stderr.on('data', (chunk) => (complaint = (complaint + String(chunk)).slice(-4000)));
    const ended = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => reject(new Error(complaint.trim() || `qemu ended with ${code ?? signal}`)));
    });
    ended.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no sign of life within ${patience / 1000} s`)), patience);
    });
    try {
      await Promise.race([connected, ended, late]);
      const agent = new Agents(agents);
      child.once('exit', () => agent.fail(new Error(`the virtual machine ended: ${complaint.trim()}`)));
      const [hello] = await Promise.race([Promise.all(agents.map(async (one) => one.hello)), ended, late]);
      return new Machine(accelerator, agent, hello!, consoleLog, child, server);
    } catch (error) {
      child.kill('SIGKILL');
      server.close();
      const tail = existsSync(consoleLog)
        ? readFileSync(consoleLog, 'utf8').trim().split('\n').slice(-5).join('\n')
        : '';
      throw new Error(`${(error as Error).message}${tail === '' ? '' : `\nits console ends with:\n${tail}`}`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
      rmSync(initramfs, { force: true });
    }
  }

  /** Pulls the plug. */
  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL');
      await gone;
    }
    this.server.close();
  }
}

function machineArguments(
  platform: Platform,
  accelerator: Accelerator,
  { kernel, tap, plainPackets }: MachineOptions,
  initramfs: string,
  socket: string,
  consoleLog: string,
): string[] {
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-m', `${MEMORY_MIB}`, '-smp', '1'],
    ...platform.machine,
    ...['-accel', accelerator === 'tcg' ? 'tcg,thread=multi' : 'kvm'],
    ...['-cpu', accelerator === 'kvm' ? 'host' : platform.processor],
    ...['-rtc', 'base=utc'],
    ...['-kernel', kernel, '-initrd', initramfs],
    ...[
      '-append',
      `console=${platform.console} quiet loglevel=4 panic=-1 mitigations=off no_timer_check net.ifnames=0`,
    ],
    ...['-serial', `file:${consoleLog}`],
    ...['-device', 'virtio-serial-pci'],
    ...Array.from({ length: PORTS }, (_, i) => [
      ...['-chardev', `socket,id=agent${i},path=${socket}`],
      ...['-device', `virtserialport,chardev=agent${i},name=${PORT_NAME}.${i}`],
    ]).flat(),
    ...[
      '-netdev',
      `tap,id=net0,ifname=${tap},script=no,downscript=no`,
      '-device',
      `virtio-net-pci,netdev=net0${plainPackets ? NO_OFFLOADS : ''}`,
    ],
    ...['-device', 'virtio-rng-pci'],
  ];
}
