import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import koffi from 'koffi';
import { nativeSlab } from './nativeslab.js';

/**
 * Several C functions called in a row by one call from JavaScript.
 *
 * A call through koffi costs 0.1 µs and more before C sees it, and to seal a message takes six calls of some 0.1 µs each. So the calls are laid down as a list
 * in native memory, and a few machine instructions walk it: the function's address, five arguments, the next. The instructions are the same for every
 * list and thread; they are written once into a page of their own, which from then on may be executed and no longer written.
 *
 * There is such code for x86-64 on Linux only. Elsewhere, and where the system allows no executable memory, the constructor throws, and whoever
 * wanted a list makes single calls.
 */

/** Bytes of an entry: the function, five arguments, and what is left over to make entries of eight words. */
const ENTRY = 64;
/** 32-bit words of an entry */
const WORDS = ENTRY / 4;
const ARGUMENTS = 5;

/** System V ABI: arguments in rdi, rsi, rdx, rcx, r8; rbx is kept by those called; the stack is aligned to 16 bytes at a call. */
// prettier-ignore
const X86_64 = Uint8Array.of(
  0xf3, 0x0f, 0x1e, 0xfa, //       endbr64             a target of indirect calls (CET)
  0x53, //                         push rbx
  0x48, 0x89, 0xfb, //             mov  rbx, rdi       the list
  0x48, 0x8b, 0x03, //       next: mov  rax, [rbx]     the function
  0x48, 0x85, 0xc0, //             test rax, rax
  0x74, 0x1c, //                   jz   done           0 ends the list
  0x48, 0x8b, 0x7b, 0x08, //       mov  rdi, [rbx+8]
  0x48, 0x8b, 0x73, 0x10, //       mov  rsi, [rbx+16]
  0x48, 0x8b, 0x53, 0x18, //       mov  rdx, [rbx+24]
  0x48, 0x8b, 0x4b, 0x20, //       mov  rcx, [rbx+32]
  0x4c, 0x8b, 0x43, 0x28, //       mov  r8,  [rbx+40]
  0xff, 0xd0, //                   call rax
  0x48, 0x83, 0xc3, 0x40, //       add  rbx, 64
  0xeb, 0xdc, //                   jmp  next
  0x5b, //                   done: pop  rbx
  0xc3, //                         ret
);

/** asm-generic/mman-common.h, asm-generic/mman.h */
const PROT_READ_WRITE = 3;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const PAGE = 4096;
/** Where worker threads find the page that the main thread made. */
const SHARED = 'wirestream: page of the call list';

type Walk = (list: number) => void;
let walk: Walk | null = null;

/** In the main thread: makes the page for all threads that it starts from now on, if there can be one. */
export function shareCallLists(): void {
  try {
    prepare();
  } catch {
    // Whoever wants a list hears why.
  }
}

function prepare(): void {
  if (walk !== null) return;
  let page = getEnvironmentData(SHARED);
  if (typeof page !== 'number') {
    page = writePage();
    if (isMainThread) setEnvironmentData(SHARED, page);
  }
  walk = koffi.decode(BigInt(page as number), koffi.proto('void', ['uintptr_t'])) as Walk;
}

function writePage(): number {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`no call lists on ${process.platform} ${process.arch}`);
  }
  const library = koffi.load(null);
  const mmap = library.func(
    'uintptr_t mmap(uintptr_t at, size_t length, int protection, int flags, int fd, int64_t offset)',
  );
  const page = Number(mmap(0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0));
  if (page <= 0 || page > Number.MAX_SAFE_INTEGER) throw new Error('no memory for a call list');
  const source = nativeSlab(PAGE);
  source.bytes.set(X86_64);
  library.func('uintptr_t memcpy(uintptr_t to, uintptr_t from, size_t length)')(
    page,
    source.at(0, X86_64.length),
    X86_64.length,
  );
  if (library.func('int mprotect(uintptr_t at, size_t length, int protection)')(page, PAGE, PROT_READ_EXEC) !== 0) {
    library.func('int munmap(uintptr_t at, size_t length)')(page, PAGE);
    throw new Error('the system allows no executable memory');
  }
  return page;
}

/** @returns the address of one of the process's own functions @throws Error when it shows none of that name */
export function functionAddress(name: string): number {
  const address = Number(koffi.load(null).func('uintptr_t dlsym(uintptr_t handle, const char *name)')(0, name));
  if (address === 0) throw new Error(`this Node does not show ${name}`);
  return address;
}

/** A list of calls, in the order in which they were added. Nobody checks what the functions make of their arguments. */
export class CallList {
  readonly #walk: Walk;
  readonly #words: Uint32Array;
  readonly #address: number;
  #length = 0;

  /** @param capacity calls @throws Error where there can be no list */
  constructor(readonly capacity: number) {
    prepare();
    this.#walk = walk!;
    const slab = nativeSlab((capacity + 1) * ENTRY);
    this.#words = new Uint32Array(slab.bytes.buffer);
    this.#address = slab.at(0, (capacity + 1) * ENTRY);
  }

  /** @param args addresses of native memory that lives as long as the list, or numbers @returns the call's number in the list */
  add(address: number, ...args: number[]): number {
    if (this.#length === this.capacity || args.length > ARGUMENTS) throw new RangeError('no room in the call list');
    const call = this.#length++;
    this.#put(call * WORDS, address);
    for (const [i, value] of args.entries()) this.set(this.argument(call, i), value);
    return call;
  }

  /** Where argument `i` of a call is kept, for `set`. */
  argument(call: number, i: number): number {
    if (!(call >= 0 && call < this.#length && i >= 0 && i < ARGUMENTS)) throw new RangeError('no such argument');
    return call * WORDS + 2 + 2 * i;
  }

  /** Changes an argument. @param place from `argument` @param value a non-negative integer below 2^53 */
  set(place: number, value: number): void {
    this.#put(place, value);
  }

  run(): void {
    this.#walk(this.#address);
  }

  #put(word: number, value: number): void {
    this.#words[word] = value >>> 0;
    this.#words[word + 1] = value / 0x1_0000_0000;
  }
}
