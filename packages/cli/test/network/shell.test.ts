import { describe, expect, test } from '@jest/globals';
import { guarded } from '../../src/network/guard.js';
import { SystemShell } from '../../src/network/shell.js';

function shell(): { shell: SystemShell; said: string[] } {
  const said: string[] = [];
  return { shell: new SystemShell((line) => said.push(line)), said };
}

describe('the system shell', () => {
  test('announces what it runs and gives it input', async () => {
    const { shell: it, said } = shell();
    await it.run(['sh', '-c', 'read line; test "$line" = hello'], 'hello\n');
    expect(said).toEqual(['[#] sh -c read line; test "$line" = hello']);
  });

  test('a failure is told in the words of the program', async () => {
    const { shell: it } = shell();
    await expect(
      it.run(['sh', '-c', 'echo RTNETLINK answers: File exists >&2; echo more >&2; exit 2']),
    ).rejects.toMatchObject({
      code: 'command-failed',
      message: expect.stringMatching(/: RTNETLINK answers: File exists$/),
    });
    await expect(it.run(['sh', '-c', 'exit 3'])).rejects.toMatchObject({ message: 'sh -c exit 3: exit code 3' });
    await expect(it.run(['sh', '-c', 'kill -9 $$'])).rejects.toMatchObject({
      message: 'sh -c kill -9 $$: exit code SIGKILL',
    });
  });

  test('a program that is not there is named', async () => {
    const { shell: it } = shell();
    await expect(it.run(['no-such-program-here'])).rejects.toMatchObject({ code: 'command-missing' });
    expect(it.has('no-such-program-here')).toBe(false);
    expect(it.has('sh')).toBe(true);
  });

  test('queries are quiet, and null when they fail', async () => {
    const { shell: it, said } = shell();
    expect(await it.query(['echo', 'x'])).toBe('x\n');
    expect(await it.query(['sh', '-c', 'echo x; exit 1'])).toBeNull();
    expect(await it.query(['no-such-program-here'])).toBeNull();
    expect(said).toEqual([]);
  });

  test('hooks run in a shell with the name of the interface', async () => {
    const { shell: it, said } = shell();
    await it.hook('PostUp', 'test %i%i = wg0wg0 && true', 'wg0');
    expect(said).toEqual(['[#] test wg0wg0 = wg0wg0 && true']);
    await expect(it.hook('PreUp', 'exit 4', 'wg0')).rejects.toMatchObject({
      code: 'hook-failed',
      message: 'PreUp failed (4): exit 4',
    });
  });

  test('nothing more is run after an interruption', async () => {
    const { shell: it, said } = shell();
    const controller = new AbortController();
    const safe = guarded(it, controller.signal);
    await safe.run(['true']);
    controller.abort();
    await expect(safe.run(['true'])).rejects.toMatchObject({ code: 'interrupted' });
    await expect(safe.hook('PreUp', 'true', 'wg0')).rejects.toMatchObject({ code: 'interrupted' });
    expect(said).toEqual(['[#] true']);
  });
});
