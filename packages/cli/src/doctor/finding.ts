/**
 * One thing that doctor looked at.
 *
 * ok: as it should be. note: something is not there that some tunnels want, or that would make them faster. problem: `up` fails
 * because of it.
 */
export interface Finding {
  /** for programs: never changes */
  readonly id: string;
  readonly state: 'ok' | 'note' | 'problem';
  /** one line in plain words */
  readonly says: string;
  /** what to do about it */
  readonly hint?: string;
  /** for programs: what was found, as numbers and names */
  readonly details?: Readonly<Record<string, unknown>>;
}

export const ok = (id: string, says: string, details?: Finding['details']): Finding => finding('ok', id, says, details);
export const note = (id: string, says: string, hint?: string, details?: Finding['details']): Finding =>
  withHint(finding('note', id, says, details), hint);
export const problem = (id: string, says: string, hint?: string, details?: Finding['details']): Finding =>
  withHint(finding('problem', id, says, details), hint);

function finding(state: Finding['state'], id: string, says: string, details: Finding['details']): Finding {
  return { id, state, says, ...(details === undefined ? {} : { details }) };
}

function withHint(plain: Finding, hint: string | undefined): Finding {
  return hint === undefined ? plain : { ...plain, hint };
}
