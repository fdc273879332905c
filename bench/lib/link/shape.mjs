/**
 * What a link does to packets.
 *
 * @typedef {object} Shape
 * @property {number} rtt ms that a packet and its answer take together; half of it each way
 * @property {number} loss percent of the packets lost, each way for itself
 * @property {number} rate Mbit/s each way, counted in IP packets; 0: as fast as it goes
 */

/** `DELAY_MS,LOSS%,RATE_MBIT`; what is left out at the end is 0. @throws Error with what is wrong */
export function parseShape(text) {
  const match = /^(\d+(?:\.\d+)?)(?:ms)?(?:,(\d+(?:\.\d+)?)%?)?(?:,(\d+(?:\.\d+)?))?$/.exec(text.trim());
  if (match === null)
    throw new Error(`not a link: ${JSON.stringify(text)}; write DELAY_MS,LOSS%,RATE_MBIT as in 40,1%,100`);
  const [rtt, loss, rate] = match.slice(1).map((word) => Number(word ?? 0));
  if (loss >= 100) throw new Error(`a link that loses ${loss} % carries nothing`);
  return { rtt, loss, rate };
}

/** The same for people. */
export function shapeTitle(shape) {
  if (shape === null) return 'the bare veth';
  const { rtt, loss, rate } = shape;
  return `${rtt} ms round trip, ${loss} % loss, ${rate === 0 ? 'no limit' : `${rate} Mbit/s`}`;
}
