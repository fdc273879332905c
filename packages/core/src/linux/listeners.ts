import { WirestreamError } from '../device/errors.js';
import { type Epoll, EPOLLIN } from './epoll.js';
import { EPERM, errnoName } from './errno.js';
import { closeListening, openListening, type Listening } from './listen.js';
import { setMark } from './sockopts.js';
import { close } from './syscalls.js';

/** How long listeners are left alone when the system is short of descriptors or memory: doubling, ms (mullvad's udp-over-tcp does so). */
const PAUSE_FIRST = 50;
const PAUSE_MAX = 5_000;

export interface ListenChange {
  /** 0 for any */
  readonly port: number;
  readonly mark: number;
  /** whether to listen on TCP too; what is open already stays */
  readonly tcp: boolean;
}

const NONE: Listening = { port: 0, tcp4: -1, tcp6: -1, udp4: -1, udp6: -1 };

/** The listening sockets of a device: opened, moved to another port, marked, and kept from spinning when accepting fails. */
export class Listeners {
  /** when `resume` has something to do, ms */
  resumesAt = Infinity;
  #open: Listening = NONE;
  #mark = 0;
  #pause = PAUSE_FIRST;

  constructor(
    private readonly epoll: Epoll,
    private readonly tokens: Readonly<Record<'tcp4' | 'tcp6' | 'udp4' | 'udp6', number>>,
  ) {}

  get tcp4(): number {
    return this.#open.tcp4;
  }

  get tcp6(): number {
    return this.#open.tcp6;
  }

  get udp4(): number {
    return this.#open.udp4;
  }

  get udp6(): number {
    return this.#open.udp6;
  }

  get hasTcp(): boolean {
    return this.tcp4 >= 0 || this.tcp6 >= 0;
  }

  /**
   * Makes it so.
   * @throws WirestreamError port-in-use, port-forbidden, mark-forbidden, listen-failed; then everything is as it was
   */
  apply({ port, mark, tcp }: ListenChange): Listening & { readonly mark: number } {
    if (port === 0 || port !== this.#open.port) this.#move(port, mark, tcp);
    else {
      // Whatever fails has to fail before the rest is touched.
      const added = tcp && !this.hasTcp ? openListening({ port, tcp: true, udp: false, mark }) : null;
      if (mark !== this.#mark) this.#remark(mark, added);
      if (added !== null) {
        this.#open = { ...this.#open, tcp4: added.tcp4, tcp6: added.tcp6 };
        this.#watch(['tcp4', 'tcp6']);
      }
    }
    this.#mark = mark;
    return { ...this.#open, mark };
  }

  /** Leaves the TCP listeners alone for a while. */
  pause(now: number): void {
    if (this.resumesAt !== Infinity) return;
    this.resumesAt = now + this.#pause;
    this.#pause = Math.min(this.#pause * 2, PAUSE_MAX);
    this.#interest(0);
  }

  /** Takes notice of them again when the time has come. */
  resume(now: number): void {
    if (now < this.resumesAt) return;
    this.resumesAt = Infinity;
    this.#interest(EPOLLIN);
  }

  /** Accepting works again. */
  recovered(): void {
    this.#pause = PAUSE_FIRST;
  }

  close(): void {
    closeListening(this.#open);
    this.#open = NONE;
  }

  #move(port: number, mark: number, tcp: boolean): void {
    // A port of the system's choice has to be free on TCP too, in case that it is wanted later.
    let opened = openListening({ port, tcp: tcp || port === 0, udp: true, mark });
    if (!tcp) {
      for (const fd of [opened.tcp4, opened.tcp6]) if (fd >= 0) close(fd);
      opened = { ...opened, tcp4: -1, tcp6: -1 };
    }
    this.close();
    this.#open = opened;
    this.resumesAt = Infinity;
    this.#watch(['tcp4', 'tcp6', 'udp4', 'udp6']);
  }

  #remark(mark: number, added: Listening | null): void {
    for (const fd of [this.tcp4, this.tcp6, this.udp4, this.udp6]) {
      const result = fd < 0 ? 0 : setMark(fd, mark);
      if (result >= 0) continue;
      if (added !== null) closeListening(added);
      throw new WirestreamError(
        result === -EPERM ? 'mark-forbidden' : 'listen-failed',
        `cannot set the firewall mark: ${errnoName(result)}`,
        'run as root or with CAP_NET_ADMIN',
      );
    }
  }

  #watch(names: readonly ('tcp4' | 'tcp6' | 'udp4' | 'udp6')[]): void {
    for (const name of names) if (this.#open[name] >= 0) this.epoll.add(this.#open[name], EPOLLIN, this.tokens[name]);
  }

  #interest(events: number): void {
    for (const name of ['tcp4', 'tcp6'] as const) {
      if (this.#open[name] >= 0) this.epoll.modify(this.#open[name], events, this.tokens[name]);
    }
  }
}
