/**
 * The cross-platform configuration protocol, by which wg(8) talks to implementations that are not in the kernel
 * (https://www.wireguard.com/xplatform/, "Configuration Protocol").
 *
 * Theory of operation. A client connects to a stream socket and sends requests, each a list of `key=value` lines that
 * begins with `get=1` or `set=1` and ends with an empty line; each gets one reply of the same form that ends with
 * `errno=N`. Keys are hexadecimal. `RequestReader` takes the stream in pieces of any size and gives whole requests as
 * typed operations; `UapiSession` runs them one after the other against a device and forms the replies; `formatSet` and
 * `parseReply` are the client's side.
 *
 * Guarantees: a `set` with anything wrong in it is refused as a whole and changes nothing; lines and requests
 * are bounded, so that whatever a client sends costs bounded memory; and after a refused request the session goes on with the
 * next one, unless the stream cannot be followed any more.
 *
 * Beyond the protocol, there are two keys, `transport` and `extensions`. In `set`, `transport=tcp|udp|auto` among the device's keys says what
 * carries peers that do not say otherwise; among a peer's keys `transport=tcp|udp|auto|default` says what carries that peer;
 * `extensions=on|off` (for a peer also `default`) says whether control messages are sent (docs/control.md). In `get` they appear
 * only where it is not what stock WireGuard does: for a device that is not on UDP, or has `extensions=off`, and for a peer that differs from its
 * device. Stock `wg` skips keys that it does not know.
 */

/** Longest line, characters: several times what the longest key and value of the protocol take. */
export const LINE_MAX = 1024;
/** Longest request, characters: room for ten thousand peers, or hundreds of thousands of allowed IPs. */
export const REQUEST_MAX = 16 << 20;

/** Error numbers of the protocol: negated errno values of Linux (errno(3)), as wireguard-go's ipc package has them. */
export const ERRNO = {
  none: 0,
  io: -5,
  invalid: -22,
  /** "unknown error", which is ENOANO's number */
  unknown: -55,
  protocol: -71,
  portInUse: -98,
} as const;

/** What a request fails with, on its way to being `errno=N`. */
export class UapiError extends Error {
  override readonly name = 'UapiError';

  /** @param errno negative */
  constructor(
    readonly errno: number,
    message: string,
  ) {
    super(message);
  }
}
