import { describe, expect, test } from '@jest/globals';
import { CallList, functionAddress } from '../../src/linux/calllist.js';
import { nativeSlab } from '../../src/linux/nativeslab.js';

const here = process.platform === 'linux' && process.arch === 'x64';
const why = here ? '' : ` (SKIPPED: there are no call lists on ${process.platform} ${process.arch})`;

(here ? describe : describe.skip)(`a list of calls${why}`, () => {
  test('is run in order, with the arguments as they are then', () => {
    const { bytes, at } = memory();
    const list = new CallList(3);
    const memmove = functionAddress('memmove');
    // Each passes on what the one before it has left.
    list.add(memmove, at(1), at(0), 1);
    const second = list.add(memmove, at(2), at(1), 1);
    list.run();
    expect([...bytes.subarray(0, 4)]).toEqual([7, 7, 7, 0]);
    bytes[0] = 9;
    list.set(list.argument(second, 0), at(3));
    list.run();
    expect([...bytes.subarray(0, 4)]).toEqual([9, 9, 7, 9]);
    list.add(functionAddress('memset'), at(0), 5, 2);
    list.run();
    expect([...bytes.subarray(0, 4)]).toEqual([5, 5, 7, 9]);
  });

  test('has room for as many as were asked for, and arguments that exist', () => {
    const list = new CallList(1);
    const abs = functionAddress('abs');
    expect(() => list.add(abs, 1, 2, 3, 4, 5, 6)).toThrow(RangeError);
    list.add(abs, 1);
    expect(() => list.add(abs, 1)).toThrow(RangeError);
    expect(() => list.argument(1, 0)).toThrow(RangeError);
    expect(() => list.argument(0, 5)).toThrow(RangeError);
    expect(() => list.argument(-1, 0)).toThrow(RangeError);
    expect(() => functionAddress('no_such_function_anywhere')).toThrow('does not show');
  });
});

function memory() {
  const slab = nativeSlab(2 ** 24);
  slab.bytes[0] = 7;
  return { bytes: slab.bytes, at: (offset: number) => slab.at(offset, 1) };
}
