/**
 * What a wirestream may announce that it can do: bits of the control message's abilities item. A bit is only ever given one meaning; bits that a
 * receiver does not know are ignored. An ability holds for messages under the keypair that it was announced under, and for no others.
 */

/** Takes offload records, first version: an inner super-packet behind a virtio-net header as one transport message. */
export const ABILITY_OFFLOAD = 1 << 0;
/** Answers probes: sends a control message of the same size back on the path that one came by. */
export const ABILITY_PROBE = 1 << 1;

/** What every device of this version can do, whatever its driver. */
export const OWN_ABILITIES = ABILITY_PROBE | ABILITY_OFFLOAD;

const NAMES: readonly (readonly [number, string])[] = [
  [ABILITY_OFFLOAD, 'offload'],
  [ABILITY_PROBE, 'probe'],
];

/** The known bits' names, for people. */
export function abilityNames(abilities: number): string[] {
  return NAMES.filter(([bit]) => (abilities & bit) !== 0).map(([, name]) => name);
}
