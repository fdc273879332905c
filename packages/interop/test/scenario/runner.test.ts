import { describe, expect, test } from '@jest/globals';
import { lastDone, runScenario, type Acting, type Step } from '../../src/scenario/runner.js';

function step(
  side: Acting,
  text: string,
  run: Step<string[]>['run'] = async () => undefined,
  limit = 5,
): Step<string[]> {
  return {
    side,
    text,
    limit,
    run: async (done) => {
      done.push(text);
      return run(done);
    },
  };
}

describe('runScenario', () => {
  test('steps run one after the other, and what came of them is written down', async () => {
    let now = 0;
    const done: string[] = [];
    const result = await runScenario(
      { name: 'n', steps: [step('us', 'a', async () => 'so and so'), step('both', 'b')] },
      done,
      () => (now += 100),
    );
    expect(done).toEqual(['a', 'b']);
    expect(result).toMatchObject({ name: 'n', verdict: 'passed', reason: null });
    expect(result.log.map(({ side, text, outcome }) => [side, text, outcome])).toEqual([
      ['us', 'a', 'so and so'],
      ['both', 'b', 'done'],
    ]);
    expect(result.seconds).toBeGreaterThan(0);
  });

  test('a failing step ends it, and what each side did last is known', async () => {
    const done: string[] = [];
    const fail = async (): Promise<void> => {
      throw new Error('no answer');
    };
    const steps = [step('kernel', 'listens'), step('us', 'pings', fail), step('kernel', 'never')];
    const result = await runScenario({ name: 'n', steps }, done);
    expect(done).toEqual(['listens', 'pings']);
    expect(result).toMatchObject({ verdict: 'failed', reason: 'pings: no answer' });
    expect(lastDone(result.log, 'us')).toMatch(/pings → FAILED: no answer$/);
    expect(lastDone(result.log, 'kernel')).toMatch(/listens → done$/);
    expect(lastDone([], 'us')).toBeNull();
  });

  test('a step that does not end is ended', async () => {
    const result = await runScenario(
      { name: 'n', steps: [step('us', 'hangs', async () => new Promise(() => undefined), 0.02)] },
      [],
    );
    expect(result).toMatchObject({ verdict: 'failed', reason: 'hangs: not done within 0.02 s' });
  });

  test('an interruption ends the step that is going on, and is no failure', async () => {
    const stopper = new AbortController();
    const hang = async (): Promise<void> => {
      queueMicrotask(() => stopper.abort());
      return new Promise(() => undefined);
    };
    const done: string[] = [];
    const steps = [step('us', 'hangs', hang), step('us', 'never')];
    const result = await runScenario({ name: 'n', steps }, done, undefined, stopper.signal);
    expect(result).toMatchObject({ verdict: 'skipped', reason: 'interrupted' });
    expect(done).toEqual(['hangs']);
  });

  test('what is to be skipped does nothing', async () => {
    const done: string[] = [];
    const result = await runScenario({ name: 'n', steps: [step('us', 'a')], skip: 'no TCP' }, done);
    expect(result).toMatchObject({ verdict: 'skipped', reason: 'no TCP', log: [] });
    expect(done).toEqual([]);
  });
});
