import koffi from 'koffi';
import { WirestreamError } from '../device/errors.js';

/**
 * The C library's functions as JavaScript ones, called synchronously on the calling thread.
 *
 * Pointers are declared `uintptr_t`, so that they take the plain numbers that `Slab.at` gives after it has checked
 * offset and length; apart from path names nothing here accepts a JavaScript object, and nothing outside this folder may
 * call these functions. `syscalls.ts` wraps those that move bytes.
 *
 * Structure layouts in this folder are those of 64-bit little-endian Linux, which is insisted on here; where x86-64
 * differs from the rest (epoll_event), the place says so.
 */
export interface Libc {
  read(fd: number, address: number, length: number): number;
  write(fd: number, address: number, length: number): number;
  readv(fd: number, iov: number, count: number): number;
  writev(fd: number, iov: number, count: number): number;
  recv(fd: number, address: number, length: number, flags: number): number;
  send(fd: number, address: number, length: number, flags: number): number;
  sendmsg(fd: number, msghdr: number, flags: number): number;
  recvmsg(fd: number, msghdr: number, flags: number): number;
  sendmmsg(fd: number, mmsghdr: number, count: number, flags: number): number;
  /** `timeout` stays 0: the kernel looks at it only after each message, so it bounds nothing (recvmmsg(2), BUGS) */
  recvmmsg(fd: number, mmsghdr: number, count: number, flags: number, timeout: number): number;
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, sockaddr: number, length: number): number;
  connect(fd: number, sockaddr: number, length: number): number;
  listen(fd: number, backlog: number): number;
  /** `length` is the address of a socklen_t, here and below */
  accept4(fd: number, sockaddr: number, length: number, flags: number): number;
  shutdown(fd: number, how: number): number;
  getsockname(fd: number, sockaddr: number, length: number): number;
  getpeername(fd: number, sockaddr: number, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epfd: number, operation: number, fd: number, event: number): number;
  epoll_wait(epfd: number, events: number, count: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  /** moves the calling thread, and no other, into a namespace */
  setns(fd: number, type: number): number;
}

const PROTOTYPES: Readonly<Record<keyof Libc, string>> = {
  read: 'int64_t read(int fd, uintptr_t buf, size_t count)',
  write: 'int64_t write(int fd, uintptr_t buf, size_t count)',
  readv: 'int64_t readv(int fd, uintptr_t iov, int iovcnt)',
  writev: 'int64_t writev(int fd, uintptr_t iov, int iovcnt)',
  recv: 'int64_t recv(int fd, uintptr_t buf, size_t len, int flags)',
  send: 'int64_t send(int fd, uintptr_t buf, size_t len, int flags)',
  sendmsg: 'int64_t sendmsg(int fd, uintptr_t msg, int flags)',
  recvmsg: 'int64_t recvmsg(int fd, uintptr_t msg, int flags)',
  sendmmsg: 'int sendmmsg(int fd, uintptr_t msgvec, uint32_t vlen, int flags)',
  recvmmsg: 'int recvmmsg(int fd, uintptr_t msgvec, uint32_t vlen, int flags, uintptr_t timeout)',
  open: 'int open(const char *path, int flags, uint32_t mode)',
  close: 'int close(int fd)',
  fcntl: 'int fcntl(int fd, int cmd, int64_t arg)',
  ioctl: 'int ioctl(int fd, unsigned long request, uintptr_t arg)',
  socket: 'int socket(int domain, int type, int protocol)',
  bind: 'int bind(int fd, uintptr_t addr, uint32_t len)',
  connect: 'int connect(int fd, uintptr_t addr, uint32_t len)',
  listen: 'int listen(int fd, int backlog)',
  accept4: 'int accept4(int fd, uintptr_t addr, uintptr_t len, int flags)',
  shutdown: 'int shutdown(int fd, int how)',
  getsockname: 'int getsockname(int fd, uintptr_t addr, uintptr_t len)',
  getpeername: 'int getpeername(int fd, uintptr_t addr, uintptr_t len)',
  setsockopt: 'int setsockopt(int fd, int level, int name, uintptr_t value, uint32_t len)',
  getsockopt: 'int getsockopt(int fd, int level, int name, uintptr_t value, uintptr_t len)',
  epoll_create1: 'int epoll_create1(int flags)',
  epoll_ctl: 'int epoll_ctl(int epfd, int op, int fd, uintptr_t event)',
  epoll_wait: 'int epoll_wait(int epfd, uintptr_t events, int maxevents, int timeout)',
  eventfd: 'int eventfd(uint32_t initval, int flags)',
  setns: 'int setns(int fd, int nstype)',
};

/** Machines whose system-call structures this folder's layouts describe. */
const MACHINES = ['x64', 'arm64', 'riscv64', 'loong64'];

function load(): Libc {
  if (process.platform !== 'linux' || !MACHINES.includes(process.arch)) {
    throw new WirestreamError(
      'linux-unsupported',
      `the Linux driver does not run on ${process.platform}/${process.arch}`,
      'use the portable driver',
    );
  }
  const library = koffi.load(null);
  const functions = Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)]);
  return Object.fromEntries(functions) as Libc;
}

export const libc = load();

/** errno of this thread's last call that failed; ask at once, before anything else is called. */
export const errno: () => number = () => koffi.errno();
