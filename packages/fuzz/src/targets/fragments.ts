import fc from 'fast-check';
import { parseIp } from '@wirestream/core/address/ip';
import { FragmentStore } from '@wirestream/core/capture/fragments';
import { IpView } from '@wirestream/core/capture/ipview';
import { noise } from '../arbitraries/bytes.js';
import { must, mustEqual, target } from '../target.js';
import { StackWorld } from '../twins/stackpair.js';

const A = [Uint8Array.of(10, 0, 0, 1), parseIp('fd00::1')!];
const B = [Uint8Array.of(10, 0, 0, 2), parseIp('fd00::2')!];
/** of the stacks in twins/stackpair.ts */
const MTU = 1420;
/** Longer than pieces wait for each other, ms (userspace/reassembly.ts). */
const EXPIRY = 31_000;

interface Datagrams {
  readonly family: 4 | 6;
  /** bytes of each, and which way it goes */
  readonly sizes: readonly { readonly size: number; readonly back: boolean; readonly ping: boolean }[];
  /** by which pieces are put in another order, and which is left out or repeated */
  readonly seed: number;
  readonly fault: 'none' | 'lose' | 'repeat';
  readonly which: number;
}

export const fragments = target<Datagrams>({
  name: 'fragments',
  says: 'datagrams longer than the MTU arrive whole, in whatever order their pieces come; with a piece missing nothing arrives, and nothing waits for ever',
  runs: 60,
  arbitrary: fc.record({
    family: fc.constantFrom(4, 6),
    sizes: fc.array(
      fc.record({
        size: fc.oneof(fc.nat({ max: 1500 }), fc.nat({ max: 9000 }), fc.constantFrom(1372, 1392, 1393, 40_000)),
        back: fc.boolean(),
        ping: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    seed: fc.nat(),
    fault: fc.constantFrom('none' as const, 'none' as const, 'lose' as const, 'repeat' as const),
    which: fc.nat({ max: 40 }),
  }),
  check({ family, sizes, seed, fault, which }) {
    const [here, there] = [new StackWorld(A, seed), new StackWorld(B, seed + 1)];
    const i = family === 4 ? 0 : 1;
    const answers: Uint8Array[] = [];
    const native = { send: (bytes: Uint8Array) => void answers.push(bytes.slice()), close: () => undefined };
    const flow = here.stack.udp.open(here.now, A[i]!, B[i]!, 53, native);
    must(typeof flow !== 'string', 'the flow is begun');
    for (const [n, { size, back, ping }] of sizes.entries()) {
      const data = noise(size, seed + n);
      const other = there.datagrams[0];
      const from = back && other !== undefined ? there : here;
      const to = from === here ? there : here;
      let pong = false;
      if (ping) {
        const [source, destination] = from === here ? [A[i]!, B[i]!] : [B[i]!, A[i]!];
        from.stack.pings.send(from.now, source, destination, size, 1000, (time) => void (pong = time !== null));
      } else if (from === here) here.stack.udp.datagram(here.now, flow, data);
      else there.stack.udp.datagram(there.now, other!.flow, data);
      const pieces = shuffled(from.out.splice(0), seed + n);
      mustEqual(
        joined(pieces, here.now),
        joined(
          [...pieces].sort(() => -1),
          here.now,
        ),
        'what a capture makes of it',
      );
      if (fault === 'lose' && pieces.length > 0) pieces.splice(which % pieces.length, 1);
      if (fault === 'repeat' && pieces.length > 0) pieces.push(pieces[which % pieces.length]!);
      const list = from === here ? (there.datagrams[0]?.sent ?? []) : answers;
      const before = list.length;
      for (const piece of pieces) {
        must(piece.length <= MTU, 'no piece is longer than the MTU');
        to.receive(piece);
      }
      const got = (from === here ? (there.datagrams[0]?.sent ?? []) : answers).slice(before);
      for (const world of [to, from])
        for (const piece of world.out.splice(0)) (world === to ? from : to).receive(piece);
      if (ping) {
        must(pong || fault !== 'none', () => `a ping of ${size} bytes is answered`);
      } else if (fault === 'none') mustEqual(got, [data], `a datagram of ${size} bytes`);
      else
        must(
          got.every((one) => one.length === data.length && one.every((byte, k) => byte === data[k])),
          'only what was sent',
        );
      // Incomplete packets are forgotten, and flows of datagrams stay.
      if (fault !== 'none') for (const world of [here, there]) world.now += EXPIRY;
    }
  },
});

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const draws = noise(4 * list.length, seed);
  return list
    .map((one, i) => ({ one, draw: draws[4 * i]! * 256 + draws[4 * i + 1]! }))
    .sort((a, b) => a.draw - b.draw)
    .map(({ one }) => one);
}

/** What the reader of captures puts together from pieces. */
function joined(pieces: readonly Uint8Array[], now: number): (Uint8Array | null)[] {
  const store = new FragmentStore();
  const view = new IpView();
  const out: (Uint8Array | null)[] = [];
  for (const piece of pieces) {
    must(view.parse(piece, 0, piece.length), 'a piece is an IP packet');
    if (!view.isFragment) continue;
    const whole = store.add(view, piece, now / 1000);
    if (whole !== null) out.push(whole.slice());
  }
  mustEqual(store.waiting, 0, 'datagrams that wait for a piece');
  return out;
}
