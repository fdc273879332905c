import { parseArgs } from 'node:util';

export const USAGE = `usage:
  npm run fuzz -- [--minutes N] [--seed S] [--target T] … [--jobs J]   a campaign: 1 minute, all targets, all cores
  npm run fuzz -- --replay FILE [--target T]                           one input again: a regression's JSON, or the bytes themselves
  npm run fuzz -- --list                                               the targets
  --no-drivers      leaves out the hostile load on real sockets at the end
  --uncovered FILE  writes down the lines of core that never ran`;

export interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly targets: readonly string[];
  readonly jobs: number | undefined;
  readonly replay: string | undefined;
  readonly list: boolean;
  readonly help: boolean;
  readonly drivers: boolean;
  readonly uncovered: string | undefined;
}

/** @throws Error that says what is wrong */
export function parseOptions(args: readonly string[]): Options {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: text,
      seed: text,
      target: { type: 'string', multiple: true },
      jobs: text,
      replay: text,
      list: flag,
      help: flag,
      'no-drivers': flag,
      uncovered: text,
    },
  });
  return {
    minutes: number('minutes', values.minutes, 1),
    seed: Math.floor(number('seed', values.seed, Math.floor(Math.random() * 0x40000000))),
    targets: values.target ?? [],
    jobs: values.jobs === undefined ? undefined : Math.max(1, Math.floor(number('jobs', values.jobs, 1))),
    replay: values.replay,
    list: values.list,
    help: values.help,
    drivers: !values['no-drivers'],
    uncovered: values.uncovered,
  };
}

function number(name: string, value: string | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  const result = Number(value);
  if (!Number.isFinite(result) || result < 0) throw new Error(`--${name} wants a number, not ${value}\n${USAGE}`);
  return result;
}
