import { Screen, type ScreenOutput } from './screen.js';

/** Somewhere to show a thing again and again. */
export interface Watcher {
  show(text: string): void;
  /** The latest look failed; the next one may not. */
  trouble(error: unknown): void;
  leave(): void;
}

export interface WatchJob {
  /** @returns what there is to see now */
  readonly look: () => Promise<string>;
  /** ms from one look to the next */
  readonly every: number;
  /** given when the user has had enough */
  readonly enough: AbortSignal;
  readonly watcher: Watcher;
}

/**
 * Looks again and again. What cannot be seen at the first look is an error, since it is most likely a wrong name; later it is news, because a
 * tunnel that comes back is what somebody may be waiting for.
 */
export async function watch({ look, every, enough, watcher }: WatchJob): Promise<void> {
  const over = new Promise<null>((resolve) => {
    if (enough.aborted) resolve(null);
    enough.addEventListener('abort', () => resolve(null), { once: true });
  });
  const lookOr = async (otherwise: (error: unknown) => null) => Promise.race([look().catch(otherwise), over]);
  try {
    let text = await lookOr((error) => {
      throw error;
    });
    let next = performance.now();
    while (!enough.aborted) {
      if (text !== null) watcher.show(text);
      // A look that took longer than its turn puts the next one off instead of being made up for.
      next = Math.max(next + every, performance.now());
      await sleep(next - performance.now(), over);
      if (enough.aborted) return;
      text = await lookOr((error) => (watcher.trouble(error), null));
    }
  } finally {
    watcher.leave();
  }
}

async function sleep(ms: number, over: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([new Promise((resolve) => (timer = setTimeout(resolve, ms))), over]);
  clearTimeout(timer);
}

/** On a terminal: in place, under a line that says what and when. */
export class ScreenWatcher implements Watcher {
  readonly #screen: Screen;
  #drawn = '';

  /** @param title of the first line */
  constructor(
    out: ScreenOutput,
    private readonly title: string,
  ) {
    this.#screen = new Screen(out);
  }

  show(text: string): void {
    this.#drawn = `${this.title}  ${clock()}\n\n${text}`;
    this.redraw();
  }

  trouble(error: unknown): void {
    this.show(`${messageOf(error)}\n`);
  }

  /** After the terminal has changed its size, or was somebody else's for a while. */
  redraw(): void {
    this.#screen.draw(this.#drawn);
  }

  leave(): void {
    this.#screen.leave();
  }
}

/** Into a pipe or a file: one block after the other, each with its time in front if `dated`, and an empty line behind. */
export class BlockWatcher implements Watcher {
  constructor(
    private readonly write: (text: string) => void,
    private readonly complain: (line: string) => void,
    private readonly dated: boolean,
  ) {}

  show(text: string): void {
    this.write(this.dated ? `${new Date().toISOString()}\n${text}\n` : text);
  }

  trouble(error: unknown): void {
    this.complain(messageOf(error));
  }

  leave(): void {
    // nothing was changed
  }
}

/** The local time, as HH:MM:SS. */
function clock(): string {
  return new Date().toTimeString().slice(0, 8);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
