/**
 * A link with delay, loss and a rate between two network namespaces, in user space, for kernels without netem and for runs that lose the
 * same packets every time. Run by link.mjs in a process of its own:
 *
 *     node emulator.mjs '{"ends":[{"namespace":"/run/netns/a","device":"eth0"},…],"rtt":40,"loss":1,"rate":0,"queue":100,"seed":1}'
 *
 * Theory of operation. Each namespace has a TUN device, which the kernel treats as the way to the other one. What is routed to it is read
 * here, packet by packet (no offload, so every packet is one that a wire would carry), enters a lane (lane.mjs), and is written to the
 * other TUN when its time has come. The thread sleeps in ppoll, whose timeout has nanoseconds where epoll's has milliseconds.
 */
import { writeSync } from 'node:fs';
import { setPriority } from 'node:os';
import koffi from 'koffi';
import { libc } from '@wirestream/core/linux/libc';
import { nativeSlab } from '@wirestream/core/linux/nativeslab';
import { read, write } from '@wirestream/core/linux/syscalls';
import { openTun } from '@wirestream/core/linux/tun';
import { Lane } from './lane.mjs';

/** Most packets in flight each way: 100 ms at 2 Gbit/s. */
const SLOTS = 16_384;
const SLOT = 2048;
/** Packets read from one side before the other has its turn. */
const BUDGET = 64;
const CLONE_NEWNET = 0x40000000;
const POLLIN = 1;
/** struct pollfd and struct timespec, linux/poll.h and linux/time_types.h */
const POLLFD = 8;
const TIMESPEC = 2 * POLLFD;
/** Longest sleep, ms: how long the process outlives the one that started it. */
const SLEEP_MAX = 500;

const { ends, rtt, loss, rate, queue, seed } = JSON.parse(process.argv[2]);
const ppoll = koffi.load(null).func('int ppoll(uintptr_t fds, unsigned long count, uintptr_t timeout, uintptr_t mask)');
const scratch = nativeSlab(4096);

function enter(namespace) {
  const fd = libc.open(namespace, 0, 0);
  if (fd < 0 || libc.setns(fd, CLONE_NEWNET) < 0) throw new Error(`cannot enter ${namespace}`);
  libc.close(fd);
}

const fds = ends.map(({ namespace, device }) => {
  enter(namespace);
  return openTun({ name: device, offload: false }).fd;
});
// Back to where it came from: what is in the namespaces is counted to the contestants.
enter(`/proc/${process.ppid}/ns/net`);
// Lane i takes what side i sends.
const lanes = fds.map((_, i) => new Lane({ delay: rtt / 2, loss, rate, queue, seed: 2 * seed + i, slots: SLOTS }));
const slabs = fds.map(() => nativeSlab(SLOTS * SLOT));
const lengths = fds.map(() => new Int32Array(SLOTS));

fds.forEach((fd, i) => {
  scratch.view.setInt32(i * POLLFD, fd, true);
  scratch.view.setInt16(i * POLLFD + 4, POLLIN, true);
});

function take(i, now) {
  const lane = lanes[i];
  for (let n = 0; n < BUDGET; n++) {
    const slot = Math.max(lane.free, 0);
    const length = read(fds[i], slabs[i], slot * SLOT, SLOT);
    if (length < 0) return;
    // With all slots taken the packet is dropped, as by any queue that is full.
    if (lane.free < 0) lane.dropped++;
    else if (lane.enter(now, length)) lengths[i][slot] = length;
  }
}

function give(i, now) {
  for (let slot = lanes[i].leave(now); slot >= 0; slot = lanes[i].leave(now)) {
    write(fds[1 - i], slabs[i], slot * SLOT, lengths[i][slot]);
  }
}

function sleep(ms) {
  scratch.view.setBigInt64(TIMESPEC, BigInt(Math.floor(ms / 1000)), true);
  scratch.view.setBigInt64(TIMESPEC + 8, BigInt(Math.floor((ms % 1000) * 1e6)), true);
  ppoll(scratch.at(0, 2 * POLLFD), 2, scratch.at(TIMESPEC, 16), 0);
}

try {
  setPriority(-15);
} catch {
  // Times are less exact then, on a busy machine.
}
const parent = process.ppid;
writeSync(1, 'ready\n');
while (process.ppid === parent) {
  const before = performance.now();
  give(0, before);
  give(1, before);
  const wait = Math.min(lanes[0].nextAt, lanes[1].nextAt, before + SLEEP_MAX) - performance.now();
  sleep(Math.max(wait, 0));
  const now = performance.now();
  for (const i of [0, 1]) if ((scratch.view.getInt16(i * POLLFD + 6, true) & POLLIN) !== 0) take(i, now);
}
