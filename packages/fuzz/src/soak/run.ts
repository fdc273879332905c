import { soak } from './soak.js';

/** `npm run soak`, compiled: Ctrl-C ends it early, and it says what there is to say. */
const stop = new AbortController();
process.on('SIGINT', () => stop.abort());
process.on('SIGTERM', () => stop.abort());
try {
  process.exitCode = await soak(process.argv.slice(2), (line) => console.log(line), stop.signal);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
