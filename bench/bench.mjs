/** `npm run bench`: the data path measured against real peers, side by side on this machine; `npm run bench -- --help` says what it takes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build, checkNode, installPackages, installPrograms, isRoot } from '../scripts/lib/setup.mjs';
import { chart } from './lib/chart.mjs';
import { CONTESTANTS, PROGRAMS } from './lib/contestants/contestants.mjs';
import { HELP, parseOptions } from './lib/options.mjs';
import { formatTable, microTable, rootlessTable, seriesTable, verdictTable } from './lib/tables.mjs';

const say = (line) => console.log(line);

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) say(HELP);
  else await bench(options);
} catch (error) {
  console.error(`bench: ${error.message}`);
  if (process.env.WIRESTREAM_DEBUG === '1') console.error(error.stack);
  process.exitCode = error.code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1;
}

async function bench(options) {
  const began = performance.now();
  checkNode();
  const inNamespaces = !options.micro && !options.rootless;
  if (process.platform !== 'linux' && inNamespaces)
    throw new Error('network namespaces are needed, which Linux has; --micro runs anywhere');
  if (!isRoot && inNamespaces)
    throw new Error('network namespaces and interfaces are needed: run it as root; --micro and --rootless run without');
  installPackages();
  build();
  if (inNamespaces) {
    const missing = installPrograms(PROGRAMS);
    if (missing.length > 0) throw new Error(`${missing.join(', ')} missing, and no way to install it here`);
  }
  // Only now: these come from the build.
  const { describeMachine, machineLines } = await import('./lib/machine.mjs');
  const machine = await describeMachine(CONTESTANTS.filter(({ id }) => options.only.includes(id)));
  for (const line of machineLines(machine)) say(line);
  const report = { machine, options: { ...options, json: undefined, svg: undefined } };
  if (options.heap !== null) {
    const { profileHeap, heapLines } = await import('./heap/heap.mjs');
    report.heap = await profileHeap({ ...options, seconds: options.heap, say });
    for (const line of heapLines(report.heap)) say(line);
  } else {
    if (inNamespaces) report.series = await measureSeries(options);
    if (options.rootless || (inNamespaces && options.shapes === null)) report.rootless = await measureRootless(options);
    if (options.micro || (inNamespaces && options.shapes === null)) {
      say('micro-benchmarks');
      const { runMicro } = await import('./micro/micro.mjs');
      report.micro = runMicro({ quick: options.quick, say }, options.quick && !options.micro);
    }
    await conclude(report, options);
  }
  report.tookSeconds = Math.round((performance.now() - began) / 1000);
  say(`took ${report.tookSeconds} s`);
  save(options.json, `${JSON.stringify(report, null, 1)}\n`);
}

async function measureSeries(options) {
  const [{ Lab }, { runSeries }, { plans }, { hasNetem }] = await Promise.all([
    import('./lib/lab.mjs'),
    import('./lib/series.mjs'),
    import('./lib/plans.mjs'),
    import('./lib/link/link.mjs'),
  ]);
  const lab = new Lab();
  try {
    if (options.netem && !hasNetem(lab))
      throw new Error('this kernel has no netem; leave --netem out to shape without it');
    const out = [];
    for (const plan of plans(options)) {
      out.push({ part: plan.part, ...(await runSeries(lab, plan, { ...options, say })) });
    }
    return out;
  } finally {
    lab.clean();
  }
}

/** @returns null where it cannot be measured */
async function measureRootless({ quick, seconds }) {
  say('two ends in user space');
  const { PROGRAMS: programs, benchRootless, obstacle } = await import('./rootless.mjs');
  installPrograms(programs);
  const why = obstacle();
  if (why !== null) say(`SKIPPED: ${why}`);
  return why === null ? benchRootless({ runs: quick ? 1 : 5, seconds, say }) : null;
}

async function conclude(report, options) {
  const { verdicts } = await import('./lib/verdicts.mjs');
  const parts = Object.fromEntries((report.series ?? []).map((series) => [series.part, series]));
  report.verdicts = verdicts({ ...parts, rootless: report.rootless ?? undefined, micro: report.micro });
  const tables = (report.series ?? []).map(seriesTable);
  if (report.rootless) tables.push(rootlessTable(report.rootless));
  if (report.micro !== undefined) tables.push(microTable(report.micro));
  if (report.verdicts.length > 0) tables.push(verdictTable(report.verdicts));
  say('');
  for (const table of tables) say(formatTable(table, options.markdown));
  if (report.series === undefined) return;
  const { processor, cores, kernel, date } = report.machine;
  save(options.svg, chart(report.series, `${processor}, ${cores} cores, Linux ${kernel}, ${date}`));
}

function save(file, text) {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  say(`wrote ${path.relative(process.cwd(), file)}`);
}
