import { VECTOR } from '../../offload/checksum.js';
import type { Slab } from '../../slab/slab.js';
import { adoptSlab } from '../nativeslab.js';

/**
 * Sums of 16-bit words by vector instructions: what checksums over whole payloads are made of.
 *
 * JavaScript has no vectors, WebAssembly has, on memory of its own; and that memory is an ordinary buffer which C can be given
 * addresses of. So the slabs that inner packets pass through are laid in such memories. They have their final size from the start, because a
 * memory that grows moves. Summing 1400 bytes so takes a sixth of what it takes in JavaScript.
 *
 * The module is small enough to be written out as bytes (WebAssembly Core Specification 2.0, chapter 5); in the text format it reads
 *
 *     (module
 *       (import "" "memory" (memory 1))
 *       (func (export "sum") (param $at i32) (param $end i32) (result i32) (local $a v128) (local $b v128)
 *         (loop $more
 *           (local.set $a (i32x4.add (local.get $a) (i32x4.extadd_pairwise_i16x8_u (v128.load (local.get $at)))))
 *           (local.set $b (i32x4.add (local.get $b) (i32x4.extadd_pairwise_i16x8_u (v128.load offset=16 (local.get $at)))))
 *           (local.set $at (i32.add (local.get $at) (i32.const 32)))
 *           (br_if $more (i32.lt_u (local.get $at) (local.get $end))))
 *         (local.set $a (i32x4.add (local.get $a) (local.get $b)))
 *         (i32.add (i32.add (i32x4.extract_lane 0 (local.get $a)) (i32x4.extract_lane 1 (local.get $a)))
 *                  (i32.add (i32x4.extract_lane 2 (local.get $a)) (i32x4.extract_lane 3 (local.get $a))))))
 */

const PAGE = 65_536;

/** As much of WebAssembly's JavaScript interface as is used here. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => Compiled;
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (module: Compiled, imports: object) => { readonly exports: Readonly<Record<string, unknown>> };
};
interface Compiled {
  readonly __compiled?: never;
}

const I32 = 0x7f;
const V128 = 0x7b;
const END = 0x0b;
const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const constant = (value: number): number[] => [0x41, value];
const I32_ADD = 0x6a;
const I32_LT_U = 0x49;
const LOOP = [0x03, 0x40];
const BR_IF = [0x0d, 0];
const load = (offset: number): number[] => [0xfd, 0x00, 0, offset];
const I32X4_EXTADD_PAIRWISE_I16X8_U = [0xfd, 0x7f];
const I32X4_ADD = [0xfd, 0xae, 0x01];
const lane = (n: number): number[] => [0xfd, 0x1b, n];

const AT = 0;
const STOP = 1;
const A = 2;
const B = 3;

const accumulate = (local: number, offset: number): number[] => [
  ...get(local),
  ...get(AT),
  ...load(offset),
  ...I32X4_EXTADD_PAIRWISE_I16X8_U,
  ...I32X4_ADD,
  ...set(local),
];

const BODY = [
  ...[1, 2, V128],
  ...LOOP,
  ...accumulate(A, 0),
  ...accumulate(B, 16),
  ...[...get(AT), ...constant(VECTOR), I32_ADD, ...set(AT)],
  ...[...get(AT), ...get(STOP), I32_LT_U, ...BR_IF],
  END,
  ...[...get(A), ...get(B), ...I32X4_ADD, ...set(A)],
  ...[...get(A), ...lane(0), ...get(A), ...lane(1), I32_ADD],
  ...[...get(A), ...lane(2), ...get(A), ...lane(3), I32_ADD],
  I32_ADD,
  END,
];

const name = (text: string): number[] => [text.length, ...Buffer.from(text, 'latin1')];
const section = (id: number, content: readonly number[]): number[] => [id, content.length, ...content];

const MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 2, I32, I32, 1, I32]),
  ...section(2, [1, ...name(''), ...name('memory'), 0x02, 0x00, 1]),
  ...section(3, [1, 0]),
  ...section(7, [1, ...name('sum'), 0x00, 0]),
  ...section(10, [1, BODY.length, ...BODY]),
]);

let compiled: Compiled | null | undefined;

/** Null where there is no WebAssembly, or none with vectors. */
function compile(): Compiled | null {
  if (compiled === undefined) {
    try {
      compiled = new WebAssembly.Module(MODULE);
    } catch {
      compiled = null;
    }
  }
  return compiled;
}

/** Memories that a thread's earlier slabs have left, by size: each reserves gigabytes of address space, which are slow to come back. */
const idle = new Map<number, Slab[]>();

/** A native slab that is summed fast, as far as this machine can. Give it back with `giveSummableSlab`. */
export function summableSlab(size: number): Slab {
  const pages = Math.ceil(size / PAGE);
  const slab = idle.get(pages)?.pop();
  if (slab !== undefined) return slab;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const made = adoptSlab(memory.buffer);
  const module = compile();
  if (module !== null) {
    const { exports } = new WebAssembly.Instance(module, { '': { memory } });
    made.vectorSum = exports.sum as (at: number, end: number) => number;
  }
  return made;
}

/** The slab is no longer used. Its bytes are wiped: inner packets were in it. */
export function giveSummableSlab(slab: Slab): void {
  slab.bytes.fill(0);
  const pages = slab.size / PAGE;
  const others = idle.get(pages);
  if (others === undefined) idle.set(pages, [slab]);
  else others.push(slab);
}
