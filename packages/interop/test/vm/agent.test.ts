import { Duplex } from 'node:stream';
import { expect, test } from '@jest/globals';
import { Agent, Agents } from '../../src/vm/agent.js';

/** A guest's port whose far end is the test. */
class Port extends Duplex {
  written = '';

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written += chunk.toString();
    done();
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

test('answers find their commands in any order, however they are cut', async () => {
  const port = new Port();
  const agent = new Agent(port);
  const [a, b] = [agent.run('echo a', 5), agent.run('false', 7)];
  expect(port.written).toBe(`1 5 ${base64('echo a')}\n2 7 ${base64('false')}\n`);
  const answers = `0 0 ${base64('6.12\n')}\n2 1 \n1 0 ${base64('a\n')}\n`;
  for (const letter of answers) port.push(letter);
  expect(await agent.hello).toBe('6.12');
  expect((await a).bytes.toString()).toBe('a\n');
  expect(await b).toMatchObject({ status: 1 });
});

test('noise and answers to nobody are passed over', async () => {
  const port = new Port();
  const agent = new Agent(port);
  const answer = agent.run('x', 5);
  port.push(`garbage\n9 0 ${base64('?')}\n1 0 ${base64('x')}\n`);
  expect((await answer).bytes.toString()).toBe('x');
});

test('the end of the machine is the end of all that is waited for, and of what comes after', async () => {
  const port = new Port();
  const agent = new Agent(port);
  const answer = agent.run('sleep 100', 200);
  port.destroy();
  await expect(answer).rejects.toThrow('the virtual machine ended');
  await expect(agent.hello).rejects.toThrow('the virtual machine ended');
  await expect(agent.run('x', 1)).rejects.toThrow('the virtual machine ended');
});

test('commands spread over the ports, and wait when all are busy', async () => {
  const ports = [new Port(), new Port()];
  const agents = new Agents(ports.map((port) => new Agent(port)));
  const answers = ['a', 'b', 'c'].map(async (script) => agents.run(script, 5));
  const first = `1 5 ${base64('b')}\n`;
  expect(ports.map(({ written }) => written)).toEqual([first, `1 5 ${base64('a')}\n`]);
  const waited = new Promise<void>((resolve) => {
    ports[0]!._write = (chunk: Buffer, _encoding, done) => {
      ports[0]!.written += chunk.toString();
      done();
      resolve();
    };
  });
  ports[0]!.push(`1 0 ${base64('second')}\n`);
  await waited;
  expect(ports[0]!.written).toBe(`${first}2 5 ${base64('c')}\n`);
  ports[0]!.push(`2 0 ${base64('third')}\n`);
  ports[1]!.push(`1 0 ${base64('first')}\n`);
  const texts = (await Promise.all(answers)).map(({ bytes }) => bytes.toString());
  expect(texts).toEqual(['first', 'second', 'third']);
});
