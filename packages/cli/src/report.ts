import { isWirestreamError } from '@wirestream/core/device/errors';

/** What oclif hangs on its errors: an exit code, and sometimes what to show. */
interface OclifError extends Error {
  readonly oclif?: { readonly exit?: number };
  readonly code?: string;
  /** there on everything that is wrong with flags and arguments */
  readonly parse?: unknown;
}

const USAGE = 2;
const FAILURE = 1;

/**
 * Says on stderr what went wrong, in one line and a hint, and never with a stack trace unless WIRESTREAM_DEBUG=1.
 * @returns the exit code: 2 for what was wrong on the command line, 1 for what went wrong afterwards
 */
export function report(
  error: unknown,
  write: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
): number {
  const { oclif, code, parse } = error as OclifError;
  if (code === 'EEXIT') return oclif?.exit ?? 0;
  if (process.env['WIRESTREAM_DEBUG'] === '1' && error instanceof Error) write(error.stack ?? error.message);
  if (isWirestreamError(error)) {
    write(`wirestream: ${error.message.split('\n')[0]}`);
    if (error.hint !== undefined) write(`  hint: ${error.hint}`);
    return error.code === 'usage' ? USAGE : FAILURE;
  }
  const message = error instanceof Error ? error.message : String(error);
  if (oclif !== undefined) {
    write(`wirestream: ${usageMessage(message)}`);
    write('  hint: wirestream --help, or wirestream COMMAND --help, shows what there is');
    return parse !== undefined || /^command .* not found$/.test(message) ? USAGE : (oclif.exit ?? USAGE);
  }
  write(`wirestream: ${message.split('\n')[0]}`);
  if (process.env['WIRESTREAM_DEBUG'] !== '1') write('  hint: WIRESTREAM_DEBUG=1 shows where this happened');
  return FAILURE;
}

/** oclif tells over several lines, arguments in columns, with advice of its own at the end. */
function usageMessage(message: string): string {
  return message
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && line !== 'See more help with --help' && !line.startsWith('Note: '))
    .map((line) => line.replace(/^(\S+)\s{2,}/, (_, name: string) => `${name.toUpperCase()}, `))
    .join(' ');
}
