import type { Endpoint } from '../address/endpoint.js';
import type { CloseReason } from '../device/driver.js';
import type { Network } from './network.js';
import { Socket, SOCKET_OPTIONS, type SocketOptions, type SocketOwner } from './socket.js';

/** What a machine does with SYNs to a port at which it listens. */
export type ListenerState = 'open' | 'refuses' | 'drops';

/** When a SYN without an answer is sent again, ms after the first (Linux: 1 s, doubling). */
const SYN_AT = [0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000];
/** … and when the dial is given up. */
const SYN_TIMEOUT = 127_000;
/** First port of those that dials come from (Linux: ip_local_port_range). */
const EPHEMERAL_FIRST = 32_768;

/** A machine on the network: its addresses, its sockets, and what stands between it and the others. */
export class Machine {
  readonly sockets = new Set<Socket>();
  /** off: nothing is answered */
  isUp = true;
  listener: ListenerState = 'open';
  /** of all its sockets, those that exist included */
  socketOptions: SocketOptions = SOCKET_OPTIONS;
  /** what others see instead of its own address; then nobody can dial it */
  behind: string | null = null;
  /** counts new address translations: what went through an older one is cut off */
  translation = 0;
  #accept: ((socket: Socket) => SocketOwner | null) | null = null;
  #datagram: ((bytes: Uint8Array, from: Endpoint) => void) | null = null;
  #port = 0;
  #lastPort = EPHEMERAL_FIRST;

  /** @param address in canonical text */
  constructor(
    readonly network: Network,
    public address: string,
  ) {}

  get port(): number {
    return this.#port;
  }

  /** Listens for TCP and UDP. `accept` gives each new connection its owner, or null to have it closed. */
  listen(
    port: number,
    accept: (socket: Socket) => SocketOwner | null,
    datagram: (bytes: Uint8Array, from: Endpoint) => void,
  ): void {
    this.#port = port;
    this.#accept = accept;
    this.#datagram = datagram;
  }

  stopListening(): void {
    this.#accept = this.#datagram = null;
  }

  get isListening(): boolean {
    return this.#accept !== null;
  }

  /** How others see an endpoint of this machine's. */
  seenAs(local: Endpoint): Endpoint {
    if (this.behind === null) return local;
    return endpoint(this.behind, 1024 + ((local.port + 977 * (this.translation + 1)) % 60_000));
  }

  // ---- TCP

  /** Begins a dial; the owner is told later how it went. */
  connect(remote: Endpoint, owner: SocketOwner): Socket {
    this.#lastPort = this.#lastPort >= 65_000 ? EPHEMERAL_FIRST : this.#lastPort + 1;
    const socket = new Socket(this, endpoint(this.address, this.#lastPort), remote, owner, true);
    for (const delay of SYN_AT) this.network.clock.after(delay, () => this.#syn(socket));
    this.network.clock.after(SYN_TIMEOUT, () => {
      if (!socket.isConnected) socket.fail('timeout');
    });
    return socket;
  }

  #syn(socket: Socket): void {
    if (socket.isDead || socket.isConnected || socket.local.address !== this.address || !this.isUp) return;
    const to = this.network.machineAt(socket.remote.address);
    if (to === null || to.behind !== null) return;
    const forth = this.network.lane(this, to);
    forth.carry(
      40,
      0,
      () => {
        if (socket.isDead || socket.isConnected || !to.isUp) return;
        if (to.address !== socket.remote.address || to.listener === 'drops') return;
        const open = to.#accept !== null && to.#port === socket.remote.port && to.listener === 'open';
        if (open) to.#half(socket);
        this.network.lane(to, this).carry(
          40,
          0,
          () => {
            if (socket.isDead || socket.isConnected || socket.local.address !== this.address) return;
            if (!open) return socket.fail('refused');
            socket.established();
            socket.owner?.connected(socket);
          },
          () => undefined,
        );
      },
      () => undefined,
    );
  }

  /** A SYN came: the other end of the connection exists now, though nobody has accepted it yet. */
  #half(dialler: Socket): void {
    if ((dialler.other as Socket | undefined)?.isDead === false) return;
    const remote = dialler.machine.seenAs(dialler.local);
    const socket = new Socket(this, dialler.remote, remote, null, false);
    socket.pair(dialler);
    dialler.pair(socket);
  }

  /** The three-way handshake is complete. */
  accept(socket: Socket): void {
    const owner = this.#accept?.(socket) ?? null;
    if (socket.isDead) return;
    if (owner === null) socket.close(false);
    else socket.owner = owner;
  }

  // ---- UDP

  send(bytes: Uint8Array, to: Endpoint): void {
    const machine = this.network.machineAt(to.address);
    if (machine === null || !this.isUp) return;
    const from = this.seenAs(endpoint(this.address, this.#port));
    const lane = this.network.lane(this, machine);
    if (bytes.length > lane.datagramMax) return;
    const copies = lane.rng.chance(lane.options.loss) ? 0 : lane.rng.chance(lane.options.duplicate) ? 2 : 1;
    const arrive = () => {
      if (!machine.isUp || machine.#datagram === null) return;
      const here = machine.seenAs(endpoint(machine.address, machine.#port));
      if (here.address === to.address && here.port === to.port) machine.#datagram(bytes, from);
    };
    for (let i = 0; i < copies; i++) lane.carry(bytes.length + 28, 0, arrive, () => undefined);
  }

  // ---- what happens to it

  /** All connections end as when a process dies. */
  closeAll(): void {
    for (const socket of [...this.sockets]) socket.close(false);
  }

  /** Power fails: nobody is told. */
  crash(): void {
    for (const socket of [...this.sockets]) {
      socket.owner = null;
      socket.die();
    }
  }

  /** A reset from outside, as `ss -K` makes it: this end fails, the other is reset. */
  kill(socket: Socket, reason: CloseReason = 'reset'): void {
    if (socket.isDead) return;
    const { owner } = socket;
    socket.close(true);
    owner?.failed(socket, reason);
  }
}

export function endpoint(address: string, port: number): Endpoint {
  return { family: address.includes(':') ? 6 : 4, address, port };
}
