import fc from 'fast-check';
import { maskBits, type Prefix } from '@wirestream/core/address/ip';
import { AllowedIps } from '@wirestream/core/device/allowedips';
import { ip, prefix } from '../arbitraries/addresses.js';
import { must, mustEqual, target } from '../target.js';

type Change =
  | { readonly do: 'insert' | 'remove'; readonly prefix: Prefix; readonly owner: string }
  | { readonly do: 'removeAll'; readonly owner: string }
  | { readonly do: 'clear' };

interface Input {
  readonly changes: Change[];
  readonly lookups: Uint8Array[];
}

const owner = fc.constantFrom('a', 'b', 'c');

/** All prefixes in a list, the latest last. */
class NaiveAllowedIps {
  list: { key: string; prefix: Prefix; owner: string }[] = [];

  apply(change: Change): boolean {
    if (change.do === 'clear') this.list = [];
    else if (change.do === 'removeAll') this.list = this.list.filter((entry) => entry.owner !== change.owner);
    else {
      const key = `${change.prefix.bytes.join()}/${change.prefix.length}`;
      const there = this.list.find((entry) => entry.key === key);
      if (change.do === 'remove') {
        if (there?.owner !== change.owner) return false;
        this.list = this.list.filter((entry) => entry !== there);
        return true;
      }
      this.list = this.list.filter((entry) => entry !== there);
      this.list.push({ key, prefix: change.prefix, owner: change.owner });
    }
    return true;
  }

  lookup(address: Uint8Array): string | null {
    let best: { length: number; owner: string } | null = null;
    for (const { prefix: range, owner: name } of this.list) {
      if (range.bytes.length !== address.length || maskBits(address, range.length).join() !== range.bytes.join())
        continue;
      if (best === null || range.length > best.length) best = { length: range.length, owner: name };
    }
    return best?.owner ?? null;
  }
}

export const allowedIps = target<Input>({
  name: 'allowed-ips',
  says: 'the tries answer what a list of all prefixes answers, after any changes, and stay small',
  runs: 250,
  arbitrary: fc.record({
    changes: fc.array(
      fc.oneof(
        { weight: 8, arbitrary: fc.record({ do: fc.constant('insert' as const), prefix, owner }) },
        { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), prefix, owner }) },
        { weight: 1, arbitrary: fc.record({ do: fc.constant('removeAll' as const), owner }) },
        { weight: 1, arbitrary: fc.constant({ do: 'clear' as const }) },
      ),
      { maxLength: 30, size: 'max' },
    ),
    lookups: fc.array(ip, { maxLength: 10, size: 'max' }),
  }),
  check({ changes, lookups }) {
    const tries = new AllowedIps<string>();
    const naive = new NaiveAllowedIps();
    for (const [i, change] of changes.entries()) {
      // Now and then a prefix that is certainly there.
      const real =
        change.do === 'remove' && i % 2 === 0 ? { ...change, ...naive.list[i % (naive.list.length || 1)] } : change;
      const done = naive.apply(real);
      if (real.do === 'insert') tries.insert(real.prefix, real.owner);
      else if (real.do === 'remove') mustEqual(tries.remove(real.prefix, real.owner), done, 'whether it was removed');
      else if (real.do === 'removeAll') tries.removeAll(real.owner);
      else tries.clear();
      mustEqual(tries.size, naive.list.length, 'number of prefixes');
      must(tries.nodes <= Math.max(0, 2 * tries.size), () => `${tries.nodes} nodes for ${tries.size} prefixes`);
    }
    for (const name of ['a', 'b', 'c'])
      mustEqual(
        tries.list(name),
        naive.list.filter((entry) => entry.owner === name).map((entry) => entry.prefix),
        'prefixes of an owner, in order',
      );
    const edges = naive.list.flatMap(({ prefix: range }) => [range.bytes, range.bytes.map((byte) => byte ^ 1)]);
    for (const address of [...lookups, ...edges]) checkLookup(tries, naive, address);
  },
});

function checkLookup(tries: AllowedIps<string>, naive: NaiveAllowedIps, address: Uint8Array): void {
  const expected = naive.lookup(address);
  const v4 = address.length === 4;
  const packet = new Uint8Array(43);
  packet[3] = v4 ? 0x45 : 0x60;
  packet.set(address, 3 + (v4 ? 12 : 8));
  mustEqual(tries.lookupSource(packet, 3, 40), expected, 'owner of a source');
  packet.fill(0, 4);
  packet.set(address, 3 + (v4 ? 16 : 24));
  mustEqual(tries.lookupDestination(packet, 3, 40), expected, 'owner of a destination');
  mustEqual(tries.lookupSource(packet, 3, v4 ? 19 : 39), null, 'owner of a short packet');
  packet[3] = 0x50;
  mustEqual(tries.lookupDestination(packet, 3, 40), null, 'owner of what is no IP packet');
}
