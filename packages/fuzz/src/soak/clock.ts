/**
 * Makes the clock and the timers of this process run faster, so that what a tunnel does every two minutes happens every few seconds. To be loaded before anything
 * that keeps time: WIRESTREAM_SOAK_SPEED is the factor. Drivers with a clock of their own (the engine thread's) are not changed by it.
 */
export const speed = Number(process.env['WIRESTREAM_SOAK_SPEED'] ?? 1);

if (speed !== 1) {
  const monotonic = performance.now.bind(performance);
  const began = monotonic();
  performance.now = () => began + (monotonic() - began) * speed;
  const wall = Date.now.bind(Date);
  const wallBegan = wall();
  Date.now = () => Math.floor(wallBegan + (wall() - wallBegan) * speed);
  const plain = globalThis.setTimeout;
  const faster = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    plain(callback, ms / speed, ...args);
  globalThis.setTimeout = Object.assign(faster, plain) as unknown as typeof setTimeout;
}
