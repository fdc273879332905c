/** Packets that wait for a keypair or a connection, per peer (kernel messages.h MAX_STAGED_PACKETS). */
export const STAGED_MAX = 128;

/**
 * Inner packets that cannot be sealed or carried yet, oldest first; when there are too many the oldest goes (kernel device.c wg_xmit).
 * A packet of length 0 stands for a keepalive.
 */
export class StagedQueue {
  readonly #packets: Uint8Array[] = [];

  get length(): number {
    return this.#packets.length;
  }

  get isEmpty(): boolean {
    return this.#packets.length === 0;
  }

  /** Takes a copy in. @returns how many packets made room for it */
  push(bytes: Uint8Array, offset: number, length: number): number {
    this.#packets.push(bytes.slice(offset, offset + length));
    if (this.#packets.length <= STAGED_MAX) return 0;
    this.#packets.shift();
    return 1;
  }

  shift(): Uint8Array | undefined {
    return this.#packets.shift();
  }

  /** Puts back the packet that `shift` took. */
  unshift(packet: Uint8Array): void {
    this.#packets.unshift(packet);
  }

  /** Forgets all. @returns how many there were */
  clear(): number {
    return this.#packets.splice(0).length;
  }
}
