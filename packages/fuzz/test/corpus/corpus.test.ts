import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { Corpus } from '../../src/campaign/corpus.js';
import { subjects } from '../../src/campaign/subjects.js';
import { generate } from '../../src/choices.js';
import { inputOf } from '../../src/target.js';

/** The inputs that campaigns kept because each of them reached something that the others do not. */
const fixtures = fileURLToPath(new URL('../../../../fixtures', import.meta.url));
const corpus = new Corpus(`${fixtures}/corpus`);
const all = subjects(fixtures);

describe('what campaigns kept', () => {
  test.each(readdirSync(`${fixtures}/corpus`).map((file) => file.replace('.txt', '')))('%s', (name) => {
    const entries = corpus.load(name);
    const subject = all.find((one) => one.name === name)!;
    expect(entries.length).toBeGreaterThan(0);
    for (const { kind, bytes } of entries) {
      const isRaw = kind === 'bytes' && subject.fromBytes !== undefined;
      subject.check(isRaw ? inputOf(subject, bytes).value : generate(subject.arbitrary, bytes).value.value);
    }
  });
});
