import type { Opponent } from '../lab.js';
import type { Entry } from '../scenario/catalogue.js';
import type { Context } from '../scenario/context.js';
import type { Recorder } from './recorder.js';

export class FixtureRecorder implements Recorder {
  constructor(
    private readonly folder: string,
    private readonly opponent: Opponent,
  ) {}

  async begin(_context: Context): Promise<void> {
    void this.folder;
    void this.opponent;
  }

  async end(_entry: Entry, _context: Context): Promise<void> {}
}
