import { setTimeout as sleep } from 'node:timers/promises';
import type { Transport } from '@wirestream/core/device/settings';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { PortableDriver } from '@wirestream/core/portable/portable';
import { Slab } from '@wirestream/core/slab/slab';
import { keysOf, peerSettings } from './keys.js';
import { echoRequest, sequenceOf } from './ping.js';
import { scheduleOf, waitedSince, type Schedule } from './schedule.js';

export interface Pings {
  readonly sent: number;
  readonly lost: number;
  /** of the round trips, ms */
  readonly median: number;
  /** of the same less what the device waited for a core meanwhile, ms */
  readonly medianAtWork: number;
}

/** A peer that means well, and measures how it is served. */
export class Genuine {
  readonly driver: PortableDriver;
  readonly #slab = Slab.plain(4096);
  readonly #sentAt = new Map<number, { readonly at: number; readonly schedule: Schedule }>();
  readonly #times = new Map<number, { readonly ms: number; readonly atWork: number }>();
  #sequence = 0;

  /** @param port of the attacked device, or of what stands in front of it */
  constructor(
    private readonly number: number,
    port: number,
    transport: Transport,
    /** process that the pings are answered by */
    private readonly device: number,
  ) {
    this.driver = new PortableDriver({
      crypto: nativeCrypto,
      mtu: 1420,
      listenOn: ['127.0.0.1'],
      settings: {
        privateKey: keysOf(number).privateKey,
        transport,
        peers: [peerSettings(1, { endpoint: { family: 4, address: '127.0.0.1', port } })],
      },
      deliver: (slab, offset, length) => {
        const sequence = sequenceOf(slab.bytes.subarray(offset, offset + length));
        const sent = this.#sentAt.get(sequence);
        if (sent === undefined || this.#times.has(sequence)) return;
        const waited = waitedSince(sent.schedule, scheduleOf(device));
        const ms = performance.now() - sent.at;
        this.#times.set(sequence, { ms, atWork: Math.max(0, ms - waited) });
      },
    });
  }

  /** Ready when the first ping has come back. @returns ms that it took */
  async start(patience = 20_000): Promise<number> {
    await this.driver.start();
    const began = performance.now();
    const first = this.#send();
    for (let last = first; ![...this.#times.keys()].some((n) => n >= first);) {
      if (performance.now() - began > patience) throw new Error(`peer ${this.number} gets no reply`);
      if (performance.now() - this.#sentAt.get(last)!.at > 500) last = this.#send();
      await sleep(2);
    }
    return performance.now() - began;
  }

  /** Pings until `until` is done, at least `least` of them, and waits for late replies. */
  async pingWhile(until: Promise<unknown>, least = 25, interval = 20): Promise<Pings> {
    let done = false;
    void until.finally(() => (done = true)).catch(() => undefined);
    const mine: number[] = [];
    while (!done || mine.length < least) {
      mine.push(this.#send());
      await sleep(interval);
    }
    const missing = () => mine.filter((n) => !this.#times.has(n)).length;
    for (let waited = 0; waited < 3_000 && missing() > 0; waited += 20) await sleep(20);
    const times = mine.flatMap((n) => this.#times.get(n) ?? []);
    const median = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1] ?? Infinity;
    return {
      sent: mine.length,
      lost: missing(),
      median: median(times.map(({ ms }) => ms)),
      medianAtWork: median(times.map(({ atWork }) => atWork)),
    };
  }

  stop(): Promise<void> {
    return this.driver.stop();
  }

  #send(): number {
    const sequence = this.#sequence++ & 0xffff;
    this.#slab.bytes.set(echoRequest(this.number, 1, sequence));
    this.#times.delete(sequence);
    this.#sentAt.set(sequence, { at: performance.now(), schedule: scheduleOf(this.device) });
    this.driver.packet(this.#slab, 0, 84);
    return sequence;
  }
}
