import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { must } from './support/command.js';

const docs = new URL('../../../../docs/', import.meta.url);
const example = fileURLToPath(new URL('examples/tunnel.mjs', docs));

test('the example of docs/rootless.md does what it says', async () => {
  const said = await must([process.execPath, example], { deadline: 30_000 });
  expect(said).toBe('hello, echo\n/with-http by 10.0.0.2\n/with-fetch by 10.0.0.2\nping: answered\n');
}, 60_000);

test('the code in docs/rootless.md is the example’s', () => {
  const code = readFileSync(example, 'utf8').split('\n');
  const text = readFileSync(new URL('rootless.md', docs), 'utf8');
  const blocks = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, block]) => block!);
  expect(blocks.length).toBeGreaterThan(0);
  for (const line of blocks.join('').split('\n')) expect(code).toContain(line);
});
