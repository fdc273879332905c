import type { Crypto } from '@wirestream/core/noise/crypto';
import { SOCKET_OPTIONS } from '@wirestream/core/sim/socket';
import type { World } from '@wirestream/core/sim/world';
import type { Step } from './steps.js';
import { Overheard, strangerTalks } from './talk.js';

/** Carries out steps in a world. A step that makes no sense at the moment does nothing, so that any part of a script is a script. */
export class Actor {
  readonly #overheard: (Overheard | undefined)[];

  constructor(
    private readonly world: World,
    private readonly crypto: Crypto,
  ) {
    this.#overheard = world.hosts.map((host) => new Overheard(host));
  }

  act(step: Step): void {
    const { world } = this;
    const n = world.hosts.length;
    const isUp = (host: number) => !world.host(host).isStopped;
    switch (step.do) {
      case 'wait':
        return;
      case 'ping':
      case 'traffic':
      case 'both':
      case 'lane':
      case 'damage': {
        const from = step.from % n;
        const to = step.to % n === from ? (from + 1) % n : step.to % n;
        if (step.do === 'lane') {
          if (step.both) world.link(from, to, step.state);
          else world.lane(from, to).set(step.state);
        } else if (step.do === 'damage') {
          world.damage(from, to, { kind: step.kind, count: step.count });
        } else if (step.do === 'ping') {
          for (let i = 0; i < step.count && isUp(from); i++) world.ping(from, to, step.size, step.size % 7 === 0);
        } else {
          const count = step.do === 'both' ? 1 : step.count;
          world.pingEvery(200, from, to, count);
          world.pingEvery(200, to, from, count);
        }
        return;
      }
      case 'kill':
      case 'forget': {
        const host = step.host % n;
        const sockets = [...world.machine(host).sockets].filter((s) => s.isConnected && s.owner !== null);
        const socket = sockets[step.nth % Math.max(sockets.length, 1)];
        if (socket === undefined || !isUp(host)) return;
        if (step.do === 'kill') world.machine(host).kill(socket);
        else socket.fail('timeout');
        return;
      }
      case 'listener':
        world.machine(step.host % n).listener = step.state;
        return;
      case 'nat':
        return world.translate(step.host % n, step.newAddress);
      case 'move':
        return world.changeAddress(step.host % n);
      case 'restart':
        return this.#restart(step.host % n, step.how, step.down, step.skew);
      case 'clock':
        world.host(step.host % n).skew = step.skew;
        return;
      case 'stranger': {
        const to = step.to % n;
        const address = step.times > 1 ? world.newAddress() : undefined;
        for (let i = 0; i < step.times; i++) {
          strangerTalks(world, this.crypto, to, step.says, this.#overheard[to], address);
        }
        return;
      }
      case 'buffers': {
        const machine = world.machine(step.host % n);
        machine.socketOptions = { ...machine.socketOptions, sendBuffer: step.send };
        return;
      }
      case 'configure': {
        const host = step.host % n;
        const peer = step.of % n === host ? (host + 1) % n : step.of % n;
        if (isUp(host)) world.configureEndpoint(host, peer);
      }
    }
  }

  #restart(host: number, how: 'stop' | 'kill' | 'crash', down: number, skew: number): void {
    const { world } = this;
    if (world.host(host).isStopped) return;
    // What they overheard is news again to a host that remembers nothing.
    for (const stranger of world.strangers)
      if (stranger.socket.remote.address === world.machine(host).address) stranger.leave(true);
    this.#overheard[host] = undefined;
    if (how === 'stop') world.host(host).stop();
    else if (how === 'kill') world.kill9(host);
    else world.crash(host);
    world.clock.after(down, () => this.#start(host, skew));
  }

  #start(host: number, skew: number): void {
    if (!this.world.host(host).isStopped) return;
    this.#overheard[host] = new Overheard(this.world.start(host, skew));
  }

  /** Everything carries and everybody is up. */
  repair(): void {
    this.world.heal();
    for (const { machine } of this.world.hosts) {
      machine.socketOptions = { ...machine.socketOptions, sendBuffer: SOCKET_OPTIONS.sendBuffer };
    }
    for (let i = 0; i < this.world.hosts.length; i++) this.#start(i, this.world.host(i).skew);
  }
}
