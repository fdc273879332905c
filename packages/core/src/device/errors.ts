/**
 * One error class for everything a person can put right. `code` is stable and for programs; the message says in one line
 * what is wrong, with file and line or packet number where there is one; `hint` says what to do about it.
 */
export class WirestreamError extends Error {
  override readonly name = 'WirestreamError';
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, hint?: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/** Works across two copies of this package, where instanceof does not. */
export function isWirestreamError(error: unknown): error is WirestreamError {
  return (
    error instanceof Error && error.name === 'WirestreamError' && typeof (error as { code?: unknown }).code === 'string'
  );
}
