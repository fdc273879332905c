import { execFile, spawn } from 'node:child_process';
import { formatPrefix, type Prefix } from '../address/ip.js';
import { WirestreamError } from '../device/errors.js';

/**
 * Sets up a network interface with ip(8): addresses, MTU, link up, routes. Runs on the main thread, once per `up`.
 *
 * Everything that is set here belongs to the interface and goes with it, so closing the TUN undoes it all; only what is
 * set elsewhere (rules, routes of other interfaces) would have to be undone by hand, and nothing of that is set here.
 */
export interface InterfaceSetup {
  readonly name: string;
  /** address and prefix length of each; host bits kept */
  readonly addresses: readonly InterfaceAddress[];
  /** bytes */
  readonly mtu: number;
  /** where to; each goes through the interface */
  readonly routes: readonly Prefix[];
  /** routing table of the routes: a number from 1 to 2^32 - 1, or absent for the main one */
  readonly table?: number;
}

export interface InterfaceAddress {
  /** 4 or 16 bytes */
  readonly bytes: Uint8Array;
  /** bits */
  readonly length: number;
}

/**
 * The commands, in order, as ip(8) takes them without the word `ip`. Routes that an address makes by itself are left out,
 * more specific routes go first (wg-quick does the same, so that a default route never hides them half-way).
 */
export function setupCommands(setup: InterfaceSetup): string[] {
  const { name, addresses, mtu, routes, table } = setup;
  const commands = addresses.map((address) => `address add ${formatPrefix(address)} dev ${name}`);
  commands.push(`link set dev ${name} mtu ${mtu} up`);
  const inTable = table === undefined ? '' : ` table ${table}`;
  const wanted = [...routes].sort((a, b) => b.length - a.length);
  for (const route of wanted) {
    if (table === undefined && addresses.some((address) => covers(address, route))) continue;
    commands.push(`route add ${formatPrefix(route)} dev ${name}${inTable}`);
  }
  return commands;
}

/**
 * Runs the commands in one `ip -batch`.
 * @throws WirestreamError ip-missing, interface-setup-failed (with ip's own words and the command that it stopped at)
 */
export async function setUpInterface(setup: InterfaceSetup): Promise<void> {
  const commands = setupCommands(setup);
  // -force is not given: the first failure ends it.
  const { code, stderr } = await feed('ip', ['-batch', '-'], commands.join('\n') + '\n');
  if (code === 0) return;
  const line = Number(/:(\d+)\s*$/.exec(stderr.trim())?.[1] ?? NaN);
  const command = commands[line - 1];
  const said = stderr.split('\n')[0]!.replace(/^(RTNETLINK answers|Error): /, '');
  throw new WirestreamError(
    'interface-setup-failed',
    command === undefined ? `cannot set up ${setup.name}: ${said}` : `ip ${command}: ${said}`,
    said.includes('File exists')
      ? 'another interface has that route or address already; look with: ip route; ip address'
      : undefined,
  );
}

/** Whether an interface of that name exists. */
export function interfaceExists(name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    execFile('ip', ['link', 'show', 'dev', name], { env: process.env }, (error) => {
      if (error !== null && (error as NodeJS.ErrnoException).code === 'ENOENT') reject(missing());
      else resolve(error === null);
    });
  });
}

/** Whether the kernel makes that very route by itself when the address is added. */
function covers(address: InterfaceAddress, route: Prefix): boolean {
  if (address.bytes.length !== route.bytes.length || address.length !== route.length) return false;
  for (let bit = 0; bit < route.length; bit++) {
    const mask = 0x80 >> (bit & 7);
    if (((address.bytes[bit >> 3]! ^ route.bytes[bit >> 3]!) & mask) !== 0) return false;
  }
  return true;
}

function feed(program: string, args: readonly string[], input: string): Promise<{ code: number; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    });
    let stderr = '';
    child.on('error', (error: NodeJS.ErrnoException) => reject(error.code === 'ENOENT' ? missing() : error));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.on('close', (code) => resolve({ code: code ?? 1, stderr }));
  });
}

function missing(): WirestreamError {
  return new WirestreamError('ip-missing', 'the command ip is missing', 'install iproute2: apt install iproute2');
}
