import type { Entry } from '../scenario/catalogue.js';
import type { Context } from '../scenario/context.js';

/** Keeps what a scenario put on the wire. */
export interface Recorder {
  begin(context: Context): Promise<void>;
  end(entry: Entry, context: Context): Promise<void>;
}
