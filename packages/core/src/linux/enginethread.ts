import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { probeInterval } from '../device/path.js';
import { WirestreamError } from '../device/errors.js';
import { chooseCrypto } from './choosecrypto.js';
import { Engine } from './engine.js';
import { unpackSettings } from './packedsettings.js';
import { plainError, type EngineCommand, type EngineMessage, type EngineWorkerData } from './protocol.js';
import { openTun } from './tun.js';

/**
 * Entry of the engine thread.
 *
 * The thread belongs to the engine's epoll loop, which blocks it; commands are posted to it and announced through an eventfd, on which
 * the loop takes them up synchronously. Every few turns Node's own event loop is let in, so that what the runtime has put off
 * (finalizers of native objects) is done. Whatever ends the loop, everything is closed before the thread says so.
 */

/** Turns between two visits of Node's event loop, which cost a few microseconds each. */
const TURNS = 32;

const { start, wakeFd, keyLog } = workerData as EngineWorkerData;
const port = parentPort!;
const say = (message: EngineMessage): void => port.postMessage(message);
let engine: Engine | null = null;
let stopping = false;

function begin(): void {
  const { crypto, why } = chooseCrypto();
  const tun = openTun({
    name: start.name,
    offload: start.offload,
    ...(start.tunFd === undefined ? {} : { fd: start.tunFd }),
  });
  engine = new Engine({
    tun,
    crypto,
    mtu: start.mtu,
    wake: { fd: wakeFd, act: takeCommands },
    ...(keyLog ? { keyLog: (lines: string) => say({ type: 'keys', lines }) } : {}),
  });
  engine.device.probeInterval = probeInterval(process.env['WIRESTREAM_PROBE_INTERVAL']);
  engine.configure(start.settings);
  say({
    type: 'ready',
    info: { name: tun.name, listenPort: engine.device.listenPort, offload: tun.offload, crypto: why },
  });
}

function takeCommands(): void {
  for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port)) {
    const command = got.message as EngineCommand;
    try {
      obey(engine!, command);
    } catch (error) {
      say({ type: 'reply', id: command.id, error: plainError(error) });
    }
  }
}

function obey(on: Engine, command: EngineCommand): void {
  switch (command.do) {
    case 'configure':
      on.configure(unpackSettings(command.packed));
      say({ type: 'reply', id: command.id });
      break;
    case 'snapshot':
      say({ type: 'reply', id: command.id, snapshot: on.snapshot() });
      break;
    case 'capture':
      on.capture(command.id, command.memory, command.options, () => say({ type: 'captured', capture: command.id }));
      say({ type: 'reply', id: command.id });
      break;
    case 'uncapture':
      on.uncapture(command.capture);
      say({ type: 'reply', id: command.id });
      break;
    case 'stop':
      stopping = true;
      break;
  }
}

function run(): void {
  try {
    for (let i = 0; i < TURNS; i++) {
      engine!.turn();
      if (stopping) return end(null);
      if (engine!.tunGone) return end(new WirestreamError('tun-gone', `the interface ${start.name} was deleted`));
    }
  } catch (error) {
    return end(error);
  }
  setImmediate(run);
}

function end(error: unknown): void {
  try {
    engine?.stop();
  } finally {
    say({ type: 'ended', error: error === null ? null : plainError(error) });
  }
}

try {
  begin();
  run();
} catch (error) {
  end(error);
}
