import type { CaptureWriter } from '@wirestream/core/capture/capturewriter';
import { LiveCapture } from '@wirestream/core/capture/live/livecapture';
import { withStalls } from '../decode/stall.js';
import type { CaptureClient } from './client.js';
import type { CaptureSink } from './sink.js';

/** When nothing has come for that long what is held is written, ms. */
const STALL = 50;

/** How a capture ended. */
export interface CaptureEnd {
  /** what is missing because it came too fast */
  readonly dropped: number;
  /** the tunnel went away */
  readonly gone: boolean;
}

/**
 * Captures a running tunnel until it ends, `stop` is given, or as many packets as wanted are there.
 * @throws WirestreamError; the system's error when the capture cannot be written
 */
export async function captureTunnel(
  client: Pick<CaptureClient, 'events' | 'stop' | 'abandon'>,
  writer: CaptureWriter,
  sink: CaptureSink,
  stop: AbortSignal,
  limit: number,
): Promise<CaptureEnd> {
  const live = new LiveCapture(writer, limit);
  let asked = false;
  const ask = (): void => {
    asked = true;
    client.stop();
  };
  if (stop.aborted) ask();
  else stop.addEventListener('abort', ask);
  try {
    for await (const chunk of withStalls(client.events(), STALL)) {
      if (chunk === null) live.flush();
      else live.push(chunk);
      sink.settle(chunk === null);
      if (live.isFull) break;
    }
  } finally {
    stop.removeEventListener('abort', ask);
    client.abandon();
  }
  const isFull = live.isFull;
  live.finish();
  return { dropped: live.lost, gone: !asked && !isFull };
}
