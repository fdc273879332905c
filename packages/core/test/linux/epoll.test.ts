import { afterEach, describe, expect, test } from '@jest/globals';
import { Worker } from 'node:worker_threads';
import { Epoll, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '../../src/linux/epoll.js';
import { EBADF, ENOENT } from '../../src/linux/errno.js';
import { drainEventFd, openEventFd, signalEventFd } from '../../src/linux/eventfd.js';
import { nativeSlab } from '../../src/linux/nativeslab.js';
import { close, recv, send } from '../../src/linux/syscalls.js';
import { socketPair } from './helpers.js';

const slab = nativeSlab(4096);
const fds: number[] = [];
afterEach(() => {
  for (const fd of fds.splice(0)) close(fd);
});

function pair(): [number, number] {
  const both = socketPair();
  fds.push(...both);
  return both;
}

function newEpoll(capacity?: number): Epoll {
  const epoll = new Epoll(capacity);
  fds.push(epoll.fd);
  return epoll;
}

describe('epoll', () => {
  test('tells what is readable and writable, by token', () => {
    const [a, b] = pair();
    const epoll = newEpoll();
    expect(epoll.add(a, EPOLLIN, 0xffff_fff0)).toBe(0);
    expect(epoll.wait(0)).toBe(0);
    send(b, slab, 0, 3);
    expect(epoll.wait(-1)).toBe(1);
    expect([epoll.token(0), epoll.events(0)]).toEqual([0xffff_fff0, EPOLLIN]);
    expect(epoll.modify(a, EPOLLIN | EPOLLOUT, 5)).toBe(0);
    expect(epoll.wait(0)).toBe(1);
    expect([epoll.token(0), epoll.events(0)]).toEqual([5, EPOLLIN | EPOLLOUT]);
  });

  test('level-triggered: as long as there is something; edge-triggered: once', () => {
    const [a, b] = pair();
    const epoll = newEpoll();
    epoll.add(a, EPOLLIN, 1);
    send(b, slab, 0, 3);
    expect([epoll.wait(0), epoll.wait(0)]).toEqual([1, 1]);
    recv(a, slab, 0, 10);
    expect(epoll.wait(0)).toBe(0);
    epoll.modify(a, EPOLLIN | EPOLLET, 1);
    send(b, slab, 0, 3);
    expect([epoll.wait(0), epoll.wait(0)]).toEqual([1, 0]);
  });

  test('more events than fit come with the next waits', () => {
    const epoll = newEpoll(2);
    const ends = [pair(), pair(), pair()];
    ends.forEach(([a], i) => epoll.add(a, EPOLLIN | EPOLLET, i));
    for (const [, b] of ends) send(b, slab, 0, 1);
    const seen: number[] = [];
    for (let n = epoll.wait(0); n > 0; n = epoll.wait(0)) for (let i = 0; i < n; i++) seen.push(epoll.token(i));
    expect(seen.sort()).toEqual([0, 1, 2]);
  });

  test('the other end going away, and a descriptor that was removed', () => {
    const [a, b] = pair();
    const epoll = newEpoll();
    epoll.add(a, EPOLLIN | EPOLLRDHUP, 1);
    close(b);
    fds.splice(fds.indexOf(b), 1);
    expect(epoll.wait(0)).toBe(1);
    expect(epoll.events(0) & (EPOLLRDHUP | EPOLLHUP)).toBe(EPOLLRDHUP | EPOLLHUP);
    expect(epoll.remove(a)).toBe(0);
    expect(epoll.wait(0)).toBe(0);
    expect(epoll.remove(a)).toBe(-ENOENT);
    expect(epoll.add(12345, EPOLLIN, 1)).toBe(-EBADF);
  });
});

describe('eventfd', () => {
  test('several signals are one', () => {
    const fd = openEventFd();
    fds.push(fd);
    expect(drainEventFd(fd)).toBe(false);
    signalEventFd(fd);
    signalEventFd(fd);
    expect(drainEventFd(fd)).toBe(true);
    expect(drainEventFd(fd)).toBe(false);
  });

  test('another thread ends a wait', async () => {
    const fd = openEventFd();
    const epoll = newEpoll();
    fds.push(fd);
    epoll.add(fd, EPOLLIN, 9);
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads');
       require('node:fs').writeSync(workerData, new Uint8Array(new BigUint64Array([1n]).buffer));`,
      { eval: true, workerData: fd },
    );
    // Asked for now: it may be over before we hear that it is running.
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    // The thread is started from here, so the wait may only begin once it is running.
    await new Promise((resolve) => worker.once('online', resolve));
    expect(epoll.wait(-1)).toBe(1);
    expect(epoll.token(0)).toBe(9);
    await exited;
  });
});
