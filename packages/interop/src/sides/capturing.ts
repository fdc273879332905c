import type { Output } from '../vm/agent.js';

/** Shell scripts that capture on a side; the same in the guest and on this host. */

/** Packets of one capture, so that a transfer fills neither the guest's memory nor the disk. */
const PACKETS = { us: 100_000, kernel: 6000 } as const;

/** Starts tcpdump and returns when it listens. */
export function captureScript(side: keyof typeof PACKETS, file: string, device: string, filter: string): string {
  return (
    `rm -f ${file} ${file}.said; ` +
    `tcpdump -n -U -s 0 -c ${PACKETS[side]} --immediate-mode -Z root -i ${device} -w ${file} ${filter} >/dev/null 2>${file}.said & ` +
    `echo $! >${file}.pid; n=0; ` +
    `while ! grep -q 'listening on' ${file}.said; do kill -0 $(cat ${file}.pid) || { cat ${file}.said; exit 1; }; ` +
    `n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.1; done`
  );
}

/** Ends it; the packets that it has seen are in the file. */
export function stopCaptureScript(file: string): string {
  return (
    `[ -f ${file}.pid ] && { p=$(cat ${file}.pid); kill -INT $p 2>/dev/null; n=0; ` +
    `while [ -d /proc/$p ] && ! grep -q '^State:.Z' /proc/$p/status && [ $n -lt 50 ]; do n=$((n+1)); sleep 0.1; done; ` +
    `rm -f ${file}.pid; }; true`
  );
}

export function must({ status, bytes }: Output, what: string): Buffer {
  if (status !== 0) throw new Error(`${what} failed (${status}): ${bytes.toString('utf8').trim().slice(-2000)}`);
  return bytes;
}
