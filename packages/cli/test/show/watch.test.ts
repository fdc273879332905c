import { describe, expect, test } from '@jest/globals';
import { fit, Screen } from '../../src/show/screen.js';
import { BlockWatcher, ScreenWatcher, watch, type Watcher } from '../../src/show/watch.js';

const ENTER = '\x1b[?1049h';
const LEAVE = '\x1b[?1049l';

/** Collects what is written. */
class Out {
  text = '';
  columns = 20;
  rows = 5;
  write(text: string): void {
    this.text += text;
  }
}

/** Looks `times` times, and says then that it is enough. */
async function watched(watcher: Watcher, looks: (() => Promise<string>)[]): Promise<void> {
  const enough = new AbortController();
  let at = 0;
  const look = async (): Promise<string> => {
    const next = looks[at++];
    if (next !== undefined) return next();
    enough.abort();
    return 'never shown';
  };
  return watch({ look, every: 1, enough: enough.signal, watcher });
}

const see = (text: string) => async () => Promise.resolve(text);
const fail = (message: string) => async () => Promise.reject(new Error(message));

describe('looking again and again', () => {
  test('into a pipe: one block after the other, with times, and failures apart', async () => {
    const [out, errors] = [new Out(), [] as string[]];
    const blocks = new BlockWatcher(
      (text) => out.write(text),
      (line) => errors.push(line),
      true,
    );
    await watched(blocks, [see('one\n'), fail('gone'), see('two\n')]);
    expect(out.text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, 'TIME')).toBe('TIME\none\n\nTIME\ntwo\n\n');
    expect(errors).toEqual(['gone']);
  });

  test('on a terminal: in place, failures too, and the terminal is given back', async () => {
    const out = new Out();
    await watched(new ScreenWatcher(out, 'title'), [see('one\n'), fail('gone'), see('two\n')]);
    expect(out.text.startsWith(ENTER)).toBe(true);
    expect(out.text.endsWith(LEAVE)).toBe(true);
    expect(out.text.split(ENTER)).toHaveLength(2);
    const frames = out.text.split('\x1b[H\x1b[J').slice(1);
    expect(frames.map((frame) => /title {2}\d\d:\d\d:\d\d\n\n(\w+)/.exec(frame)?.[1])).toEqual(['one', 'gone', 'two']);
  });

  test('what cannot be seen at first is an error, and nothing was done to the terminal', async () => {
    const out = new Out();
    await expect(watched(new ScreenWatcher(out, 'title'), [fail('no such device')])).rejects.toThrow('no such device');
    expect(out.text).toBe('');
  });

  test('a look that never ends does not keep whoever has had enough', async () => {
    const [out, enough] = [new Out(), new AbortController()];
    const looks = [see('one\n'), async () => new Promise<string>(() => enough.abort())];
    const look = async () => looks.shift()!();
    await watch({ look, every: 1, enough: enough.signal, watcher: new ScreenWatcher(out, 'title') });
    expect(out.text.endsWith(LEAVE)).toBe(true);
  });
});

describe('a screen', () => {
  test('is entered with the first frame and left once', () => {
    const out = new Out();
    const screen = new Screen(out);
    screen.leave();
    expect(out.text).toBe('');
    screen.draw('x\n');
    screen.leave();
    screen.leave();
    expect(out.text.split(LEAVE)).toHaveLength(2);
    screen.draw('x\n');
    expect(out.text.split(ENTER)).toHaveLength(3);
  });

  test('holds whole lines, as the terminal wraps them, and says how many there are more', () => {
    expect(fit('a\nb\nc\n', 10, 3)).toBe('a\nb\nc');
    expect(fit('a\nb\nc\nd\n', 10, 3)).toBe('a\nb\n(2 more lines)');
    // Colours take no room, and an empty line takes a row.
    expect(fit('\x1b[1maaaaaaaaaa\x1b[0m\n\nb\n', 10, 3)).toBe('\x1b[1maaaaaaaaaa\x1b[0m\n\nb');
    expect(fit(`${'a'.repeat(11)}\nb\nc\n`, 10, 3)).toBe(`${'a'.repeat(11)}\n(2 more lines)`);
    expect(fit(`${'a'.repeat(11)}\nb\nc\n`, 10, 4)).toBe(`${'a'.repeat(11)}\nb\nc`);
  });
});
