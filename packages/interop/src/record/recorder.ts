import type { Entry } from '../scenario/catalogue.js';
import type { Context } from '../scenario/context.js';

/** Keeps what a scenario put on the wire. */
export interface Recorder {
  /** before anything is made for the scenario */
  begin(): Promise<void>;
  /** when it has passed, and both ends are still there */
  end(entry: Entry, context: Context): Promise<void>;
}
