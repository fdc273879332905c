/**
 * Arbitraries, models and properties that hold wirestream, for its own tests and for those of whoever builds on it.
 */
export * from './arbitraries/addresses.js';
export * from './arbitraries/bytes.js';
export * from './arbitraries/captures.js';
export * from './arbitraries/configs.js';
export * from './arbitraries/events.js';
export * from './arbitraries/keys.js';
export * from './arbitraries/messages.js';
export {
  address,
  internetChecksum,
  packetShape,
  payload,
  writePacket,
  type PacketShape,
} from './arbitraries/packets.js';
export * from './arbitraries/records.js';
export * from './arbitraries/segments.js';
export * from './arbitraries/streams.js';
export * from './arbitraries/uapi.js';
export { kernelLength, kernelRecords, type KernelRecord } from './kernelreader.js';
export { inputOf, must, mustEqual, PropertyError, runBytes, runTarget, target, type Target } from './target.js';
export { TARGETS } from './targets/all.js';
export { recordedStreams, recordingTarget, type RecordedStream } from './targets/recording.js';
export { decodeValue, encodeValue } from './values.js';
