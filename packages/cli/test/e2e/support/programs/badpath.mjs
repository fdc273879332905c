/**
 * A path between two network namespaces that loses, repeats and reorders packets, the same ones in every run. The kernel of each namespace
 * takes a TUN device for the way to the other one.
 *
 *   node badpath.mjs JOB
 *
 * JOB is JSON: { ends: [{ namespace, device }, …], loss, duplication, reordering, seed }; the shares are of 1, and each way is drawn for itself. A packet
 * out of order comes up to LATE ms late; so does the second copy of one that is repeated. Says `ready` when the devices are there, and on SIGTERM what it did, as
 * JSON: { passed, loss, duplication, reordering }.
 */
import { libc } from '@wirestream/core/linux/libc';
import { nativeSlab } from '@wirestream/core/linux/nativeslab';
import { read, write } from '@wirestream/core/linux/syscalls';
import { openTun } from '@wirestream/core/linux/tun';

/** ms: some packets of a fast flow overtake meanwhile */
const LATE = 8;
const PACKET = 65_536;
/** of sched.h */
const CLONE_NEWNET = 0x40000000;

const { ends, seed, ...shares } = JSON.parse(process.argv[2]);
const done = { passed: 0, loss: 0, duplication: 0, reordering: 0 };
const slab = nativeSlab(PACKET);

/** mulberry32: numbers in [0, 1) */
let state = seed;
function chance() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

function happens(what) {
  if (chance() >= shares[what]) return false;
  done[what]++;
  return true;
}

const fds = ends.map(({ namespace, device }) => {
  const home = libc.open(`/run/netns/${namespace}`, 0, 0);
  if (home < 0 || libc.setns(home, CLONE_NEWNET) < 0) throw new Error(`cannot enter ${namespace}`);
  libc.close(home);
  return openTun({ name: device, offload: false }).fd;
});
/** packets that come late, by when they do: { at, to, bytes } */
const late = [];

function keep(at, to, length) {
  const bytes = slab.bytes.slice(0, length);
  let i = late.length;
  while (i > 0 && late[i - 1].at > at) i--;
  late.splice(i, 0, { at, to, bytes });
}

function turn() {
  const now = performance.now();
  for (const [from, fd] of fds.entries()) {
    const to = 1 - from;
    for (let length = read(fd, slab, 0, PACKET); length > 0; length = read(fd, slab, 0, PACKET)) {
      if (happens('loss')) continue;
      if (happens('duplication')) keep(now + chance() * LATE, to, length);
      if (happens('reordering')) keep(now + chance() * LATE, to, length);
      else write(fds[to], slab, 0, length);
      done.passed++;
    }
  }
  while (late.length > 0 && late[0].at <= now) {
    const { to, bytes } = late.shift();
    slab.bytes.set(bytes);
    write(fds[to], slab, 0, bytes.length);
  }
}

setInterval(turn, 1);
process.once('SIGTERM', () => process.stdout.write(`${JSON.stringify(done)}\n`, () => process.exit(0)));
process.stdout.write('ready\n');
