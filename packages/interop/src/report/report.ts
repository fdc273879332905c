import type { Result } from '../scenario/runner.js';

/** What a run came to, as a table, as JSON, and as JUnit's XML. */

export interface Run {
  /** what played the kernel */
  readonly kernel: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly results: readonly Result[];
}

export function totals(results: readonly Result[]): { passed: number; failed: number; skipped: number } {
  const of = (verdict: Result['verdict']): number => results.filter((r) => r.verdict === verdict).length;
  return { passed: of('passed'), failed: of('failed'), skipped: of('skipped') };
}

/** One line for each scenario; skipped ones are put together by their reason. */
export function table(results: readonly Result[]): string {
  const ran = results.filter(({ verdict }) => verdict !== 'skipped');
  const width = Math.max(8, ...ran.map(({ name }) => name.length));
  const lines = ran.map(
    ({ name, verdict, seconds, reason }) =>
      `${verdict === 'passed' ? 'PASS' : 'FAIL'}  ${name.padEnd(width)}  ${seconds.toFixed(1).padStart(6)} s` +
      (reason === null ? '' : `  ${reason.split('\n')[0]!}`),
  );
  const reasons = new Map<string, string[]>();
  for (const { name, verdict, reason } of results) {
    if (verdict === 'skipped') reasons.set(reason ?? '', [...(reasons.get(reason ?? '') ?? []), name]);
  }
  for (const [reason, names] of reasons) {
    const what = names.length === 1 ? names[0]! : `${names.length} scenarios (${names[0]!} … ${names.at(-1)!})`;
    lines.push(`SKIPPED: ${what}: ${reason}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

export function json(run: Run): string {
  return `${JSON.stringify({ ...run, ...totals(run.results) }, null, 1)}\n`;
}

/** As continuous integration reads it: one suite, one case for each scenario. */
export function junit({ kernel, startedAt, seconds, results }: Run): string {
  const { failed, skipped } = totals(results);
  const cases = results.map(({ name, verdict, seconds: took, reason, log }) => {
    const open = `  <testcase classname="interop" name="${xml(name)}" time="${took.toFixed(3)}">`;
    const [summary = ''] = (reason ?? '').split('\n');
    const steps = log.map(
      ({ at, side, text, outcome }) => `${(at / 1000).toFixed(1)} s ${side}: ${text}: ${outcome ?? 'not finished'}`,
    );
    const inside =
      verdict === 'failed'
        ? `<failure message="${xml(summary)}">${xml([reason ?? '', ...steps].join('\n'))}</failure>`
        : verdict === 'skipped'
          ? `<skipped message="${xml(summary)}"/>`
          : '';
    return `${open}${inside}</testcase>\n`;
  });
  const attributes = `tests="${results.length}" failures="${failed}" skipped="${skipped}" time="${seconds.toFixed(3)}"`;
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<testsuite name="wirestream interop: ${xml(kernel)}" timestamp="${xml(startedAt)}" ${attributes}>\n${cases.join('')}</testsuite>\n`
  );
}

/** For text and attributes; what XML 1.0 has no way to say becomes U+FFFD. */
function xml(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
      .replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
  );
}
