import { RecordReader } from '@wirestream/core/stream/reader';
import { RECORD, cleanStream, walk } from './stream.mjs';
import { rate, timed } from './timer.mjs';

export const title = 'record reader';

export function run(options) {
  const bytes = cleanStream();
  const whole = Math.floor(bytes.length / RECORD);
  const seconds = timed((times) => {
    while (times-- > 0) {
      if (walk(new RecordReader(), bytes) !== whole) throw new Error('the reader lost a record');
    }
  }, options);
  return [{ id: 'reader', ...rate(`clean stream of ${RECORD}-byte records`, 'GB/s', bytes.length, seconds, 1e9) }];
}
