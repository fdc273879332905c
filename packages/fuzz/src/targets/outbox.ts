import fc from 'fast-check';
import { SlabPool } from '@wirestream/core/slab/pool';
import { Outbox } from '@wirestream/core/stream/outbox';
import { noise, concat } from '../arbitraries/bytes.js';
import { kernelRecords } from '../kernelreader.js';
import { must, mustEqual, target } from '../target.js';

interface Event {
  readonly do: 'send' | 'write' | 'wait' | 'move';
  readonly size: number;
  readonly control: boolean;
  readonly ms: number;
}

interface Input {
  readonly records: number;
  readonly bytes: number;
  readonly events: Event[];
}

/** A record is known by the bytes of its message, which name its number, kind and time. */
function makeBody(id: number, control: boolean, size: number): Uint8Array {
  const body = noise(size, id);
  new DataView(body.buffer).setUint32(0, id * 2 + Number(control));
  return body;
}

export const outbox = target<Input>({
  name: 'outbox',
  says: 'what leaves is whole records, each once, data in order and never old; bounds hold; every record is sent, waits, or is counted as dropped',
  runs: 200,
  arbitrary: fc.record({
    records: fc.constantFrom(2, 5, 64),
    bytes: fc.constantFrom(600, 4_000, 60_000),
    events: fc.array(
      fc.record({
        do: fc.constantFrom('send', 'send', 'send', 'send', 'write', 'write', 'wait', 'move'),
        size: fc.oneof(fc.integer({ min: 32, max: 120 }), fc.integer({ min: 32, max: 1500 })),
        control: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
        ms: fc.constantFrom(0, 1, 50, 100, 101),
      }),
      { maxLength: 60, size: 'max' },
    ),
  }),
  check({ records, bytes, events }) {
    const pool = new SlabPool(160_000);
    const limits = { records, bytes, age: 100 };
    const outboxes = [new Outbox(pool, limits), new Outbox(pool, limits)];
    const wires: Uint8Array[][] = [[], []];
    const times = new Map<number, number>();
    let now = 0;
    let refused = 0;
    const [first, second] = outboxes as [Outbox, Outbox];
    let active = 0;
    let moved = false;
    for (const { do: what, size, control, ms } of events) {
      const box = outboxes[active]!;
      if (what === 'wait') now += ms;
      else if (what === 'send') {
        const at = box.reserve(size, control ? -1 : (size & 3) === 0 ? 7 : -1, 9);
        if (at < 0) {
          refused++;
          continue;
        }
        const id = times.size;
        box.slab.bytes.set(makeBody(id, control, size), at);
        box.commit(control ? 1 : 0, now);
        times.set(id, now);
      } else if (what === 'write') write(box, wires[active]!, size, now, times);
      else if (!moved) {
        moved = true;
        first.moveTo(second, now);
        active = 1;
      }
      must(box.queuedBytes <= bytes + 1600 && box.queuedRecords <= 2 * records + 1, 'the queue is bounded');
    }
    for (let i = 0; i < 10_000 && outboxes[active]!.peek(now); i++)
      write(outboxes[active]!, wires[active]!, 1 << 20, now, times);
    checkWires(wires, times, outboxes, refused);
    first.close();
    second.close();
    mustEqual([first.queuedBytes, second.queuedBytes, pool.out], [0, 0, 0], 'in the end');
  },
});

function write(box: Outbox, wire: Uint8Array[], most: number, now: number, times: Map<number, number>): void {
  const before = box.queuedBytes;
  const left = box.drops.queueAge;
  if (!box.peek(now)) return;
  must(box.runLength > 0 && box.runOffset + box.runLength <= box.slab.size, 'a run of bytes');
  const stream = concat(wire);
  if (endOfRecords(stream) === stream.length) {
    const flags = box.slab.bytes[box.runOffset + 5];
    const word = box.slab.view.getUint32(box.runOffset + (flags === 1 ? 12 : 8));
    must(
      (word & 1) === 1 || now - times.get(word >> 1)! <= 100,
      () => `data of ${now - times.get(word >> 1)!} ms ago is sent`,
    );
  }
  const count = Math.min(most, box.runLength);
  wire.push(box.slab.bytes.slice(box.runOffset, box.runOffset + count));
  box.written(count);
  if (left === box.drops.queueAge) mustEqual(box.queuedBytes, before - count, 'queued bytes');
}

function endOfRecords(stream: Uint8Array): number {
  const last = kernelRecords(stream).pop();
  return last === undefined ? 0 : last.at + last.length;
}

function checkWires(wires: Uint8Array[][], times: Map<number, number>, boxes: Outbox[], refused: number): void {
  const sent = new Set<number>();
  let half = 0;
  for (const wire of wires) {
    const stream = concat(wire);
    let data = -1;
    let end = 0;
    for (const { at, length } of kernelRecords(stream)) {
      mustEqual(at, end, 'where a record begins');
      end = at + length;
      const message = stream.subarray(at + (stream[at + 5] === 1 ? 12 : 8), end);
      const word = new DataView(message.buffer, message.byteOffset).getUint32(0);
      const id = word >> 1;
      mustEqual(message, makeBody(id, (word & 1) === 1, message.length), 'a message');
      must(!sent.has(id), () => `record ${id} is sent twice`);
      sent.add(id);
      if ((word & 1) === 1) continue;
      must(id > data, 'data leaves in order');
      data = id;
    }
    must(stream.length - end < 1600, 'at most one record is left half sent');
    if (stream.length - end < 16) continue;
    const torn = new DataView(stream.buffer, end + (stream[end + 5] === 1 ? 12 : 8)).getUint32(0) >> 1;
    must(!sent.has(torn), 'a record that was cut is not sent again');
    sent.add(torn);
    half++;
  }
  const dropped = boxes.reduce((sum, { drops }) => sum + drops.queueFull + drops.queueAge + drops.connectionLost, 0);
  const waiting = boxes.reduce((sum, box) => sum + box.queuedRecords, 0);
  // One that is half sent either waits for the rest or was lost with its connection.
  mustEqual(sent.size - half + waiting + dropped - refused, times.size, 'records sent, waiting and dropped');
}
