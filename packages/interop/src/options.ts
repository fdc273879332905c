import { parseArgs } from 'node:util';
import { resolve } from 'node:path';

/** The command line of the lab. */

export interface Options {
  readonly quick: boolean;
  readonly hostKernel: boolean;
  readonly standIn: boolean;
  readonly module: string | null;
  readonly wg: string | null;
  readonly record: string | null;
  /** a scenario's name has to contain all words of one of them; empty for all scenarios */
  readonly only: readonly string[];
  /** where reports go */
  readonly results: string;
  /** seconds after which no scenario is begun any more; null for no such end */
  readonly budget: number | null;
  readonly accelerator: 'kvm' | 'tcg' | null;
}

export const HELP = `npm run interop -- [OPTIONS]: scenarios against a real Linux kernel

  --quick              a subset that takes at most 4 minutes
  --only WORDS         only scenarios whose names have all these words; given several times, any of them
  --module FILE        a wireguard.ko for the kernel of the virtual machine, such as one with TCP transport
  --wg FILE            the wg that belongs to it
  --host-kernel        this host's kernel in a namespace, instead of a virtual machine
  --stand-in           a second wirestream in place of the kernel: tries out the scenarios themselves
  --record DIR         write captures with sidecars, as those of fixtures/kernel, there
  --results DIR        reports, and what is kept of failures (default: interop-results)
  --budget SECONDS     begin no scenario after so long
  --accelerator NAME   kvm or tcg, instead of trying
  --help
`;

/** Seconds: with what a scenario may take beyond, a short run ends within four minutes. */
const QUICK_BUDGET = 195;

/** @returns null when help is asked for @throws Error about what cannot be understood */
export function readOptions(argv: readonly string[], folder: string): Options | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      module: { type: 'string' },
      wg: { type: 'string' },
      'host-kernel': { type: 'boolean', default: false },
      'stand-in': { type: 'boolean', default: false },
      record: { type: 'string' },
      results: { type: 'string', default: 'interop-results' },
      budget: { type: 'string' },
      accelerator: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const budget = values.budget === undefined ? (values.quick ? QUICK_BUDGET : null) : Number(values.budget);
  if (budget !== null && !(budget > 0)) throw new Error(`--budget: ${values.budget} is no number of seconds`);
  const accelerator = values.accelerator ?? null;
  if (accelerator !== null && accelerator !== 'kvm' && accelerator !== 'tcg') {
    throw new Error(`--accelerator: kvm or tcg, not ${accelerator}`);
  }
  const inHost = values['host-kernel'] || values['stand-in'];
  if (values['host-kernel'] && values['stand-in']) throw new Error('--host-kernel and --stand-in exclude each other');
  if (inHost && (values.module !== undefined || accelerator !== null)) {
    throw new Error('--module and --accelerator are for the virtual machine');
  }
  if (inHost && values.record !== undefined) {
    // Its probe would see the keys of all tunnels of this machine.
    throw new Error('--record is for the virtual machine');
  }
  const path = (file: string | undefined): string | null => (file === undefined ? null : resolve(folder, file));
  return {
    quick: values.quick,
    hostKernel: values['host-kernel'],
    standIn: values['stand-in'],
    module: path(values.module),
    wg: path(values.wg),
    record: path(values.record),
    only: values.only,
    results: resolve(folder, values.results),
    budget,
    accelerator,
  };
}
