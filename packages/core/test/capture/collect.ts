import type { WirestreamError } from '../../src/device/errors.js';
import { CaptureReader } from '../../src/capture/capturefile.js';
import type { CaptureInterface, CapturedPacket } from '../../src/capture/packet.js';

export interface Collected {
  readonly number: number;
  readonly interfaceId: number;
  readonly linkType: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly data: Uint8Array;
  readonly originalLength: number;
  readonly comment: string | undefined;
}

export interface Reading {
  readonly packets: Collected[];
  readonly interfaces: CaptureInterface[];
  readonly secrets: { type: number; text: string }[];
  readonly damage: WirestreamError[];
  readonly format: string | null;
}

export function copyOf(packet: CapturedPacket): Collected {
  const { number, interfaceId, linkType, seconds, nanoseconds, originalLength, comment } = packet;
  return { number, interfaceId, linkType, seconds, nanoseconds, originalLength, comment, data: packet.data.slice() };
}

/** Reads a whole file, in the chunks that `cuts` (offsets) make of it. The chunks are overwritten after each call. */
export function readAll(file: Uint8Array, cuts: readonly number[] = []): Reading {
  const reading: Omit<Reading, 'format'> = { packets: [], interfaces: [], secrets: [], damage: [] };
  const reader = new CaptureReader({
    packet: (packet) => reading.packets.push(copyOf(packet)),
    interface: (description) => reading.interfaces.push(description),
    secrets: (type, bytes) => reading.secrets.push({ type, text: new TextDecoder().decode(bytes) }),
    damage: (error) => reading.damage.push(error),
  });
  const offsets = [0, ...[...cuts].filter((n) => n > 0 && n < file.length).sort((a, b) => a - b), file.length];
  for (let i = 0; i + 1 < offsets.length; i++) {
    const chunk = file.slice(offsets[i], offsets[i + 1]);
    reader.push(chunk);
    chunk.fill(0xdd);
  }
  reader.end();
  return { ...reading, format: reader.format };
}
