import { StreamAssembler, type StoreBudget } from '@wirestream/core/capture/reassembly';
import { noise } from '../arbitraries/bytes.js';
import { segmentation, type Segmentation } from '../arbitraries/segments.js';
import { must, mustEqual, target } from '../target.js';

/** What became of each byte of the stream. */
const NOTHING = 0;
const CUT = 1;
const THERE = 2;

export const reassembly = target<Segmentation>({
  name: 'reassembly',
  says: 'every byte that was captured comes out once, in order and right; every other byte is in a gap',
  runs: 300,
  arbitrary: segmentation,
  check({ length, initial, segments }) {
    const stream = noise(length, length);
    const store: StoreBudget = { used: 0 };
    let position = 0;
    const out = new Uint8Array(length).fill(NOTHING);
    const assembler = new StreamAssembler(
      {
        data(at, bytes, offset, n) {
          mustEqual(at, position, 'position of data');
          mustEqual(bytes.subarray(offset, offset + n), stream.subarray(at, at + n), 'bytes');
          out.fill(THERE, at, at + n);
          position += n;
        },
        gap(at, n) {
          mustEqual(at, position, 'position of a gap');
          must(n >= 0, 'a gap is no step back');
          position += n;
        },
      },
      store,
    );
    assembler.anchor(initial >>> 0);
    const seen = new Uint8Array(length);
    for (const { from, length: n, captured } of segments) {
      // The segment's bytes lie somewhere in a larger buffer.
      const packet = new Uint8Array(captured + 9);
      packet.set(stream.subarray(from, from + captured), 4);
      const before = assembler.position;
      assembler.segment((initial + from) >>> 0, packet, 4, captured, n);
      packet.fill(0xdd);
      for (let i = from; i < from + n; i++) seen[i] = Math.max(seen[i]!, i < from + captured ? THERE : CUT);
      must(assembler.position >= before, 'the stream goes forward');
      mustEqual(
        [assembler.position, assembler.hasHole, assembler.pieces > 0],
        [position, assembler.pieces > 0, assembler.hasHole],
        'state',
      );
      // Whatever is contiguous has been handed on.
      let contiguous = 0;
      while (contiguous < length && seen[contiguous] !== NOTHING) contiguous++;
      must(
        assembler.position >= contiguous,
        () => `${contiguous} bytes are there, ${assembler.position} were handed on`,
      );
    }
    assembler.end(length);
    mustEqual([assembler.position, position, store.used, assembler.pieces], [length, length, 0, 0], 'in the end');
    mustEqual(assembler.delivered + assembler.missing, length, 'delivered and missing');
    // A byte that only a cut segment covered, and that was captured later, may have been given up by then; never the other way round.
    for (let i = 0; i < length; i++) must(out[i] !== THERE || seen[i] === THERE, () => `byte ${i} was never captured`);
    const lost = segments.every(({ length: n, captured }) => n === captured);
    if (lost)
      for (let i = 0; i < length; i++) must(seen[i] !== THERE || out[i] === THERE, () => `byte ${i} is missing`);
  },
});
