/**
 * The part of the command that runs in namespaces of its own: network, mounts and processes. When it ends, however it ends, so does all that it
 * has started, and its interfaces are gone. It ends when its standard input does.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab, NETWORKS, TAP, ip, machineOpponent, namespaceOpponent, ourNetwork, type Opponent } from './lab.js';
import type { Options } from './options.js';
import { FixtureRecorder } from './record/fixtures.js';
import { json, junit, table, totals } from './report/report.js';
import type { Result } from './scenario/runner.js';
import { select } from './scenario/select.js';
import { schedule } from './schedule.js';
import { Machine } from './vm/qemu.js';

/** What the outer part has prepared. */
export interface Job {
  readonly options: Options;
  readonly folder: string;
  readonly command: readonly string[];
  readonly daemon: readonly string[];
  /** null where no virtual machine is needed */
  readonly guest: { readonly image: string; readonly initramfs: string; readonly packaged: string } | null;
  /** Unix time in ms at which the command began */
  readonly began: number;
}

/** As shells report a program that Ctrl-C has ended: 128 + SIGINT. */
const EXIT_INTERRUPTED = 130;

/** Ended before there was anything to report. */
class Interrupted extends Error {}

const say = (line: string): void => console.log(line);

async function main(): Promise<void> {
  const job = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Job;
  const { options } = job;
  const stopper = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopper.abort());
  process.stdin.on('end', () => stopper.abort()).resume();
  const opponent = await makeOpponent(job, stopper.signal);
  say(`kernel: ${opponent.description}; up after ${seconds(job)} s`);
  const recorder =
    options.record === null
      ? null
      : new FixtureRecorder(options.record, job.command, {
          kernel: opponent.description,
          module: options.module === null ? 'stock wireguard module of that kernel' : options.module,
          shell: opponent.shell,
        });
  const lab = new Lab(opponent, {
    command: job.command,
    folder: job.folder,
    results: options.results,
    say,
    signal: stopper.signal,
    recorder,
  });
  const chosen = select(options);
  const closed = (): string | null =>
    stopper.signal.aborted
      ? 'interrupted'
      : options.budget !== null && seconds(job) > options.budget
        ? `no time left of ${options.budget} s`
        : null;
  const finished = (result: Result): void => {
    if (result.verdict !== 'skipped') process.stdout.write(table([result]));
  };
  // The probe sees all networks alike, and fixtures are those of network 0.
  const networks = options.record === null ? NETWORKS : 1;
  const results = await schedule(chosen, networks, async (entry, network) => lab.run(entry, network), finished, closed);
  await opponent.stop();
  const run = {
    kernel: opponent.description,
    startedAt: new Date(job.began).toISOString(),
    seconds: seconds(job),
    results,
  };
  mkdirSync(options.results, { recursive: true });
  writeFileSync(join(options.results, 'report.json'), json(run));
  writeFileSync(join(options.results, 'report.xml'), junit(run));
  say(`\n${opponent.description}\n${table(results)}`);
  say(`report: ${join(options.results, 'report.json')}, report.xml; took ${seconds(job)} s`);
  const { passed, failed, skipped } = totals(results);
  say(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exit(stopper.signal.aborted ? EXIT_INTERRUPTED : failed > 0 ? 1 : 0);
}

function seconds({ began }: Job): number {
  return Math.round((Date.now() - began) / 1000);
}

async function makeOpponent(job: Job, signal: AbortSignal): Promise<Opponent> {
  const { options, guest, folder } = job;
  if (guest === null) {
    const standIn = options.standIn ? { wirestream: job.command, daemon: job.daemon } : null;
    const opponent = await namespaceOpponent(folder, standIn);
    ourNetwork();
    return opponent;
  }
  ip([`tuntap add ${TAP} mode tap`]);
  ourNetwork();
  const machine = {
    kernel: guest.image,
    initramfs: readFileSync(guest.initramfs),
    tap: TAP,
    folder,
    plainPackets: options.record !== null,
  };
  const interrupted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(new Interrupted('interrupted'))),
  );
  const booted =
    options.accelerator === null ? Machine.boot(machine, say) : Machine.start(options.accelerator, machine, 150_000);
  return machineOpponent(await Promise.race([booted, interrupted]), guest.packaged, options.module !== null);
}

main().catch((error: Error) => {
  if (error instanceof Interrupted) {
    console.log('0 passed, 0 failed, 0 skipped');
    process.exit(EXIT_INTERRUPTED);
  }
  console.error(`interop: ${error.message}`);
  if (process.env['WIRESTREAM_DEBUG'] === '1') console.error(error.stack);
  console.log('0 passed, 1 failed, 0 skipped');
  process.exit(1);
});
