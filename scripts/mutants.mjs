/**
 * `npm run mutants`: puts one defect after the other into a copy of core and runs the properties that should notice.
 *
 *   npm run mutants               all of packages/fuzz/mutants
 *   npm run mutants -- NAME …     only these
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import ts from 'typescript';
import { ROOT, checkNode, installPackages, run } from './lib/setup.mjs';

/** Where one waits without using the CPU, ms; what computes for ever ends itself (kill.ts). */
const PATIENCE = 1_800_000;
/** Rounds of what a test runs once, each with a seed of its own: of a mutant, and to see that all is well without one. */
const ROUNDS = 8;
const ROUNDS_OF_NOTHING = 1;
/** Share of the mutants that must be killed (38 of 40). */
const WANTED = 0.95;

checkNode();
installPackages();
if (!run(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'packages/fuzz'])) process.exit(1);
const { applyMutant, readMutants } = await import('../packages/fuzz/dist/mutants/mutant.js');

/** The compiled packages, and everything else by links. */
function copyTree() {
  const root = mkdtempSync(path.join(tmpdir(), 'wirestream-mutants-'));
  const modules = path.join(root, 'node_modules');
  mkdirSync(path.join(modules, '@wirestream'), { recursive: true });
  for (const name of readdirSync(path.join(ROOT, 'node_modules'))) {
    if (name === '@wirestream' || name.startsWith('.')) continue;
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name));
  }
  for (const name of ['core', 'fuzz']) {
    const to = path.join(root, 'packages', name);
    for (const part of ['dist', 'package.json']) {
      cpSync(path.join(ROOT, 'packages', name, part), path.join(to, part), { recursive: true });
    }
    symlinkSync(to, path.join(modules, '@wirestream', name));
  }
  return root;
}

/** @returns what kill.js said last */
function tryMutant(root, mutant, rounds = ROUNDS) {
  const compiled = path.join(root, mutant.file.replace('/src/', '/dist/').replace(/\.ts$/, '.js'));
  const right = readFileSync(compiled);
  const source = applyMutant(mutant, readFileSync(path.join(ROOT, mutant.file), 'utf8'));
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true };
  writeFileSync(compiled, ts.transpileModule(source, { compilerOptions }).outputText);
  try {
    const script = path.join(root, 'packages/fuzz/dist/mutants/kill.js');
    const args = [script, path.join(ROOT, 'fixtures'), String(rounds), ...mutant.targets];
    const { stdout, stderr, error, signal } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      timeout: PATIENCE,
    });
    if (signal === 'SIGKILL' || error?.code === 'ETIMEDOUT') return 'killed: it never ends';
    if (error !== undefined) return `killed: ${error.message}`;
    const last = stdout.trim().split('\n').pop() ?? '';
    return last === ''
      ? `killed: ${
          stderr
            .trim()
            .split('\n')
            .find((line) => line.includes('Error')) ?? 'it crashes'
        }`
      : last;
  } finally {
    writeFileSync(compiled, right);
  }
}

const names = process.argv.slice(2);
const mutants = readMutants().filter(({ name }) => names.length === 0 || names.includes(name));
const root = copyTree();
let killed = 0;
try {
  const targets = [...new Set(mutants.flatMap((mutant) => mutant.targets))];
  const nothing = tryMutant(root, { ...mutants[0], edits: [], targets }, ROUNDS_OF_NOTHING);
  if (nothing !== 'survived') throw new Error(`the properties do not hold even without a defect: ${nothing}`);
  for (const mutant of mutants) {
    const verdict = tryMutant(root, mutant);
    if (verdict.startsWith('killed')) killed++;
    console.log(`${mutant.name.padEnd(26)} ${mutant.why}\n${''.padEnd(26)} ${verdict.slice(0, 140)}`);
    if (verdict === 'survived' && mutant.survives !== undefined)
      console.log(`${''.padEnd(26)} because ${mutant.survives}`);
  }
} finally {
  rmSync(root, { recursive: true });
}
console.log(`${killed} of ${mutants.length} killed`);
process.exitCode = killed >= Math.ceil(WANTED * mutants.length) ? 0 : 1;
