/**
 * Classic BPF programs for packet sockets (linux/filter.h, linux/bpf_common.h): which packets the kernel hands over at all.
 */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/** Loads: a byte, a half-word, a half-word at X; X = 4 × (byte & 15); A >> k; jumps; the verdict. */
const LDB = 0x30;
const LDH = 0x28;
const LDH_X = 0x48;
const LDX_MSH = 0xb1;
const RSH = 0x74;
const JEQ = 0x15;
const JSET = 0x45;
const RET = 0x06;
/** All of the packet. */
const WHOLE = 0x40000;

/** IP protocol numbers (IANA). */
const TCP = 6;
const UDP = 17;
/** IPv6 extension headers behind which a transport header may follow: hop-by-hop, routing, fragment, destination options. */
const EXTENSIONS = [0, 43, 44, 60];

/** A line with its targets by name; null goes on to the next line. */
type Line = readonly [code: number, k: number, then?: string | null, otherwise?: string | null];

/**
 * TCP and UDP over IP, from or to one of these ports; later fragments and packets with extension headers come through as well, since where
 * their ports are, if they have any, is not for a filter to find out. For packets that begin with their IP header.
 */
export function portFilter(ports: readonly number[]): Instruction[] {
  const any = (load: number, base: number): (Line | string)[] =>
    [0, 2].flatMap((offset) => [[load, base + offset], ...ports.map((port): Line => [JEQ, port, 'take', null])]);
  return assemble([
    [LDB, 0],
    [RSH, 4],
    [JEQ, 4, 'v4', null],
    [JEQ, 6, 'v6', 'leave'],
    'v4',
    [LDB, 9],
    [JEQ, TCP, 'ports4', null],
    [JEQ, UDP, 'ports4', 'leave'],
    'ports4',
    [LDH, 6],
    [JSET, 0x1fff, 'take', null],
    [LDX_MSH, 0],
    ...any(LDH_X, 0),
    [RET, 0],
    'v6',
    [LDB, 6],
    ...EXTENSIONS.map((header): Line => [JEQ, header, 'take', null]),
    [JEQ, TCP, 'ports6', null],
    [JEQ, UDP, 'ports6', 'leave'],
    'ports6',
    ...any(LDH, 40),
    'leave',
    [RET, 0],
    'take',
    [RET, WHOLE],
  ]);
}

function assemble(source: readonly (Line | string)[]): Instruction[] {
  const labels = new Map<string, number>();
  const lines: Line[] = [];
  for (const item of source) {
    if (typeof item === 'string') labels.set(item, lines.length);
    else lines.push(item);
  }
  return lines.map(([code, k, then, otherwise], i) => {
    const distance = (label: string | null | undefined) =>
      label === null || label === undefined ? 0 : labels.get(label)! - i - 1;
    return { code, jt: distance(then), jf: distance(otherwise), k };
  });
}
