import { Args, Command, Flags } from '@oclif/core';
import { isWirestreamError, WirestreamError } from '@wirestream/core/device/errors';
import { isInterfaceName } from '@wirestream/core/config/names';
import type { FlowSnapshot } from '@wirestream/core/userspace/snapshot';
import { ControlClient } from '../control/control.js';
import { controlSocket, runPaths } from '../control/paths.js';
import { onInterrupt } from '../interrupt.js';
import type { ShownDevice } from '../show/device.js';
import { formatFlow } from '../show/flows.js';
import { FIELDS, formatField } from '../show/fields.js';
import { devicesToJson } from '../show/json.js';
import { paintFor } from '../show/paint.js';
import { formatPretty } from '../show/pretty.js';
import { listDevices, readDevice } from '../show/source.js';
import { BlockWatcher, ScreenWatcher, watch, type Watcher } from '../show/watch.js';

/** Seconds between two looks, when --watch does not say (watch(1) has the same). */
const WATCH_DEFAULT = '2';
const WATCH_MIN = 0.1;
const WATCH_MAX = 86_400;

const NONE_OF_YOURS = "no tunnel of yours; root's are for root to see";

/** What the command line asks for. */
interface Wanted {
  readonly which: string;
  readonly field: (typeof FIELDS)[number] | 'flows' | undefined;
  readonly json: boolean;
}

export default class Show extends Command {
  static override summary = 'Show tunnels, as wg show does, and their TCP connections.';
  static override description = `Takes what wg show takes: nothing or "all" for every tunnel, "interfaces" for their names, or the name of one; then a single field, or "dump", for programs. "flows" lists what goes through tunnels without an interface. Tunnels of other implementations are shown too; the kernel's own with the help of wg(8).

WG_COLOR_MODE=always|never|auto chooses colours, WG_HIDE_KEYS=never prints secret keys.`;
  static override examples = [
    '<%= config.bin %> show',
    '<%= config.bin %> show wg0 latest-handshakes',
    '<%= config.bin %> show all dump',
    '<%= config.bin %> show wg0 --json',
    '<%= config.bin %> show wg0 --watch 0.5',
  ];
  static override args = {
    interface: Args.string({
      description: 'an interface, "all" (the default), "interfaces" for the names, or "flows"',
    }),
    field: Args.string({ description: 'print only this', options: [...FIELDS, 'flows'] }),
  };
  static override flags = {
    json: Flags.boolean({ description: "print JSON with wg-json's names; secret keys are not hidden" }),
    watch: Flags.string({
      char: 'w',
      helpValue: '[SECONDS]',
      description:
        'show it again and again, every 2 seconds or as often as told, until Ctrl-C: on a terminal in place, elsewhere one after the other (with --json one line each)',
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Show, withSeconds(this.argv));
    const wanted: Wanted = {
      which: args.interface ?? 'all',
      field: args.field as Wanted['field'],
      json: flags.json,
    };
    check(wanted);
    if (flags.watch !== undefined) return this.#watch(wanted, milliseconds(flags.watch));
    const complain = (line: string) => void process.stderr.write(`${line}\n`);
    process.stdout.write(await this.#render(wanted, 2, complain));
  }

  async #watch(wanted: Wanted, every: number): Promise<void> {
    const { stdout, stderr } = process;
    const complain = (line: string) => void stderr.write(`wirestream: ${line}\n`);
    const onScreen = stdout.isTTY && !wanted.json;
    let watcher: Watcher;
    if (onScreen) {
      const title = ['wirestream show', wanted.which, wanted.field ?? '', `every ${every / 1000} s`];
      const screen = new ScreenWatcher(stdout, title.filter(Boolean).join(' '));
      ownTerminal(screen);
      watcher = screen;
    } else {
      watcher = new BlockWatcher((text) => void stdout.write(text), complain, !wanted.json);
    }
    const look = async (): Promise<string> => {
      const complaints: string[] = [];
      const text = await this.#render(wanted, 0, (line) => complaints.push(line));
      if (onScreen) return [...complaints, text === '' ? '(nothing)\n' : text].join('\n');
      complaints.forEach((line) => void stderr.write(`${line}\n`));
      return text;
    };
    await watch({ look, every, enough: onInterrupt(), watcher });
    // A look that hangs does not keep us.
    this.exit(0);
  }

  /** @param indent of JSON; @param complain takes a line about what could not be shown */
  async #render(wanted: Wanted, indent: number, complain: (line: string) => void): Promise<string> {
    const { which, field, json } = wanted;
    const inJson = (value: unknown) => `${JSON.stringify(value, null, indent)}\n`;
    if (which === 'flows' || field === 'flows') {
      const flows = await readFlows(which === 'flows' ? await listDevices(runPaths()) : [which]);
      if (json) return inJson(flows);
      return Object.entries(flows)
        .flatMap(([name, list]) => list.map((flow) => `${formatFlow(name, flow)}\n`))
        .join('');
    }
    if (which === 'interfaces') {
      const names = await listDevices(runPaths());
      return names.length > 0 ? `${names.join(' ')}\n` : '';
    }
    const devices = which === 'all' ? await readAll(complain) : [await readDevice(which, runPaths())];
    if (json) return inJson(devicesToJson(devices));
    if (devices.length === 0 && field === undefined && process.getuid?.() !== 0) complain(NONE_OF_YOURS);
    if (field !== undefined) return devices.map((shown) => formatField(shown, field, which === 'all')).join('');
    const options = {
      paint: paintFor(process.env['WG_COLOR_MODE'], process.stdout.isTTY),
      showSecrets: process.env['WG_HIDE_KEYS'] === 'never',
      now: Date.now(),
    };
    return devices.map((shown) => formatPretty(shown, options)).join('\n');
  }
}

/** @throws WirestreamError usage */
function check({ which, field, json }: Wanted): void {
  if (json && field !== 'flows' && (field !== undefined || which === 'interfaces')) {
    throw new WirestreamError('usage', '--json prints everything; leave the field away');
  }
  if (which === 'interfaces' && field !== undefined) {
    throw new WirestreamError('usage', 'there are no fields of "interfaces"');
  }
  if (!isInterfaceName(which)) throw new WirestreamError('usage', `'${which}' is not the name of an interface`);
}

/** The parser knows no flags whose value may be left away. */
function withSeconds(argv: readonly string[]): string[] {
  return argv.flatMap((arg, i) => {
    const bare = arg === '--watch' || arg === '-w';
    return bare && !/^[0-9.]+$/.test(argv[i + 1] ?? '') ? [arg, WATCH_DEFAULT] : [arg];
  });
}

function milliseconds(text: string): number {
  const seconds = Number(text);
  if (seconds >= WATCH_MIN && seconds <= WATCH_MAX) return seconds * 1000;
  throw new WirestreamError('usage', `--watch ${text}: give seconds from ${WATCH_MIN} to ${WATCH_MAX}`);
}

/** Whatever happens to this process, the terminal is given back as it was. */
function ownTerminal(screen: ScreenWatcher): void {
  process.stdout.on('resize', () => screen.redraw());
  process.on('exit', () => screen.leave());
  process.on('SIGTSTP', () => {
    screen.leave();
    process.kill(process.pid, 'SIGSTOP');
  });
  process.on('SIGCONT', () => screen.redraw());
}

/** The flows of tunnels with a user-space stack; others have none. */
async function readFlows(names: readonly string[]): Promise<Record<string, FlowSnapshot[]>> {
  const all: Record<string, FlowSnapshot[]> = {};
  for (const name of names) {
    const client = await ControlClient.open(controlSocket(runPaths(), name)).catch(() => null);
    if (client === null && names.length === 1) throw new WirestreamError('no-tunnel', `there is no tunnel ${name}`);
    all[name] = (await client?.flows()) ?? [];
    client?.close();
  }
  return all;
}

/** One that cannot be read does not keep the others from being shown. */
async function readAll(complain: (line: string) => void): Promise<ShownDevice[]> {
  const devices: ShownDevice[] = [];
  const failures: unknown[] = [];
  for (const name of await listDevices(runPaths())) {
    try {
      devices.push(await readDevice(name, runPaths()));
    } catch (error) {
      failures.push(error);
    }
  }
  if (devices.length === 0 && failures.length > 0) throw failures[0];
  for (const error of failures) {
    if (!isWirestreamError(error)) throw error;
    complain(`wirestream: ${error.message}`);
  }
  return devices;
}
