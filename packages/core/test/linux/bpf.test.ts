import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { portFilter, type Instruction } from '../../src/linux/bpf.js';

const LDB = 0x30;
const LDH = 0x28;
const LDH_X = 0x48;
const LDX_MSH = 0xb1;
const RSH = 0x74;
const JEQ = 0x15;
const JSET = 0x45;
const RET = 0x06;

/** What a filter says of a packet: how many bytes of it are wanted. The kernel's interpreter (Documentation/networking/filter.rst), as far as it is needed. */
function runFilter(program: readonly Instruction[], packet: Uint8Array): number {
  let a = 0;
  let x = 0;
  const half = (at: number) => (packet[at]! << 8) | packet[at + 1]!;
  for (let i = 0; i < program.length; i++) {
    const { code, jt, jf, k } = program[i]!;
    const at = code === LDH_X ? x + k : k;
    const needs = code === LDH || code === LDH_X ? 2 : code === LDB || code === LDX_MSH ? 1 : 0;
    if (needs > 0 && at + needs > packet.length) return 0;
    if (code === RET) return k;
    else if (code === LDB) a = packet[k]!;
    else if (code === LDH || code === LDH_X) a = half(at);
    else if (code === LDX_MSH) x = 4 * (packet[k]! & 15);
    else if (code === RSH) a >>>= k;
    else if (code === JEQ) i += a === k ? jt : jf;
    else if (code === JSET) i += (a & k) !== 0 ? jt : jf;
    else throw new RangeError(`BPF code ${code}`);
  }
  return 0;
}

interface Packet {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly options: number;
  readonly fragmentOffset: number;
  readonly from: number;
  readonly to: number;
}

const packets: fc.Arbitrary<Packet> = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  protocol: fc.constantFrom(6, 17, 1, 44, 58),
  options: fc.integer({ min: 0, max: 10 }),
  fragmentOffset: fc.constantFrom(0, 0, 185),
  from: fc.constantFrom(51820, 443, 40000),
  to: fc.constantFrom(51820, 443, 40000),
});

function bytesOf({ version, protocol, options, fragmentOffset, from, to }: Packet): Uint8Array {
  const header = version === 4 ? 20 + 4 * options : 40;
  const out = new Uint8Array(header + 20);
  out[0] = version === 4 ? 0x40 | (5 + options) : 0x60;
  out[version === 4 ? 9 : 6] = protocol;
  const view = new DataView(out.buffer);
  if (version === 4) view.setUint16(6, fragmentOffset);
  view.setUint16(header, from);
  view.setUint16(header + 2, to);
  return out;
}

/** What the filter is for, said plainly. */
function isWanted({ version, protocol, fragmentOffset, from, to }: Packet, ports: readonly number[]): boolean {
  if (version === 6 && protocol === 44) return true;
  if (protocol !== 6 && protocol !== 17) return false;
  if (version === 4 && fragmentOffset > 0) return true;
  return ports.includes(from) || ports.includes(to);
}

describe('the filter of a packet socket', () => {
  test('lets through TCP and UDP of the ports, and what may be', () => {
    const ports = fc.constantFrom([51820], [443, 51820], [1]);
    fc.assert(
      fc.property(packets, ports, (packet, wanted) => {
        expect(runFilter(portFilter(wanted), bytesOf(packet)) > 0).toBe(isWanted(packet, wanted));
      }),
      { numRuns: 500 },
    );
  });

  test('looks at nothing outside of the packet', () => {
    for (let length = 0; length < 60; length++) {
      const cut = bytesOf({ version: 4, protocol: 6, options: 3, fragmentOffset: 0, from: 1, to: 2 }).subarray(
        0,
        length,
      );
      expect(runFilter(portFilter([3]), cut)).toBe(0);
    }
  });
});
