import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileError } from '../decode/errors.js';

/**
 * What Wireshark asks of programs in its extcap folder (wireshark.org/docs/wsdg_html_chunked/ChCaptureExtcap.html): which interfaces
 * there are, their link types and settings, and to capture into a pipe. A running tunnel is one interface, and there is one more for
 * watching a network interface.
 */
const PREFIX = 'wirestream-';
const WIRE = 'wirestream-wire';
/** LINKTYPE_RAW; the capture says itself which interfaces it has. */
const DLT = 'dlt {number=101}{name=RAW}{display=Raw IP}';

/** What an extcap program is asked. */
export type ExtcapRequest =
  | { readonly ask: 'interfaces' }
  | { readonly ask: 'dlts' | 'config'; readonly interface: string }
  /** `argv`: what `wirestream capture` is to be called with */
  | { readonly ask: 'capture'; readonly argv: readonly string[] }
  /** nothing that we know; newer versions may ask more */
  | { readonly ask: 'nothing' };

/** Understands Wireshark's command line. */
export function parseExtcap(argv: readonly string[]): ExtcapRequest {
  const has = (flag: string): boolean => argv.includes(flag) || argv.includes(`${flag}=true`);
  const value = (flag: string): string | undefined => {
    const at = argv.indexOf(flag);
    if (at >= 0) return argv[at + 1];
    return argv.find((arg) => arg.startsWith(`${flag}=`))?.slice(flag.length + 1);
  };
  if (has('--extcap-interfaces')) return { ask: 'interfaces' };
  const name = value('--extcap-interface') ?? '';
  if (has('--extcap-dlts')) return { ask: 'dlts', interface: name };
  if (has('--extcap-config')) return { ask: 'config', interface: name };
  const fifo = value('--fifo');
  if (!has('--capture') || fifo === undefined || !name.startsWith(PREFIX)) return { ask: 'nothing' };
  const given = (flag: string): string[] => {
    const text = value(flag);
    return text === undefined || text === '' ? [] : [flag, text];
  };
  const packets = value('--packets');
  const records = has('--records') ? ['--records'] : [];
  const chosen =
    packets === 'outer' || packets === 'inner' ? [`--${packets}`] : records.flatMap(() => ['--outer', '--inner']); // naming one kind leaves the others out
  if (name === WIRE) {
    const dev = value('--device') ?? 'any';
    const wired = has('--records') ? ['--outer', '--records'] : [];
    return { ask: 'capture', argv: ['--interface', dev, ...given('--port'), '-w', fifo, ...wired] };
  }
  const keys = has('--keys') ? ['--keys'] : [];
  return {
    ask: 'capture',
    argv: [name.slice(PREFIX.length), '-w', fifo, ...chosen, ...records, ...keys, ...given('--peer')],
  };
}

/** @param tunnels names of those that can be captured */
export function extcapInterfaces(version: string, tunnels: readonly string[]): string[] {
  return [
    `extcap {version=${version}}{help=https://www.wireguard.com}{display=wirestream}`,
    ...tunnels.map((name) => `interface {value=${PREFIX}${name}}{display=wirestream tunnel ${name}}`),
    `interface {value=${WIRE}}{display=WireGuard over TCP on a network interface}`,
  ];
}

export function extcapDlts(): string[] {
  return [DLT];
}

export function extcapConfig(name: string): string[] {
  const records =
    'arg {number=9}{call=--records}{display=Records with their headers}{type=boolflag}{default=false}' +
    '{tooltip=As link type USER0, for the dissector wirestream.lua}';
  if (name === WIRE) {
    return [
      'arg {number=0}{call=--device}{display=Network interface}{type=string}{default=any}{required=true}',
      'arg {number=1}{call=--port}{display=Port of the tunnel}{type=unsigned}{range=1,65535}{default=51820}',
      records,
    ];
  }
  return [
    'arg {number=0}{call=--packets}{display=Packets}{type=selector}',
    'value {arg=0}{value=both}{display=Messages and the packets inside}{default=true}',
    'value {arg=0}{value=outer}{display=Messages only}{default=false}',
    'value {arg=0}{value=inner}{display=Packets inside only}{default=false}',
    'arg {number=1}{call=--keys}{display=Keys}{type=boolflag}{default=false}' +
      '{tooltip=Put the keys into the capture: whoever has it can decrypt it}',
    'arg {number=2}{call=--peer}{display=Only this peer}{type=string}{tooltip=Its public key or the beginning of it}',
    records,
  ];
}

/**
 * Installs the shim that Wireshark starts and the dissector of records, into Wireshark's personal folders or both into `directory`.
 * @returns what has been done, a line each
 * @throws WirestreamError when it cannot be written
 */
export function installExtcap(directory: string | undefined): string[] {
  const folders = directory === undefined ? personalFolders() : { extcap: directory, plugins: directory };
  const shim = join(resolve(folders.extcap), 'wirestream');
  const dissector = join(resolve(folders.plugins), 'wirestream.lua');
  const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
  try {
    mkdirSync(folders.extcap, { recursive: true });
    mkdirSync(folders.plugins, { recursive: true });
    writeFileSync(shim, shimText(process.execPath, program));
    chmodSync(shim, 0o755);
    copyFileSync(fileURLToPath(new URL('../../wireshark/wirestream.lua', import.meta.url)), dissector);
  } catch (error) {
    throw fileError(error, directory ?? shim);
  }
  return [`extcap program: ${shim}`, `dissector: ${dissector}`];
}

/** The program that Wireshark starts. It answers by itself what never changes: Wireshark asks that of every interface, one after the other. */
export function shimText(node: string, program: string): string {
  const answer = (lines: readonly string[]): string => `printf '%s\\n' ${lines.map(quoted).join(' ')}`;
  return [
    '#!/bin/sh',
    'case " $* " in',
    `*" --capture "*) ;;`,
    `*" --extcap-dlts "*) ${answer(extcapDlts())}; exit ;;`,
    '*" --extcap-config "*)',
    '  case " $* " in',
    `  *" --extcap-interface ${WIRE} "*) ${answer(extcapConfig(WIRE))} ;;`,
    `  *) ${answer(extcapConfig(''))} ;;`,
    '  esac',
    '  exit ;;',
    'esac',
    `exec ${quoted(node)} ${quoted(program)} extcap "$@"`,
    '',
  ].join('\n');
}

/** Where Wireshark looks for what is the user's own: it says so itself, if it is there. */
function personalFolders(): { extcap: string; plugins: string } {
  const usual = join(homedir(), '.local', 'lib', 'wireshark');
  let said = '';
  try {
    said = execFileSync('tshark', ['-G', 'folders'], { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' });
  } catch {
    // Wireshark may be installed without tshark, or later.
  }
  const folder = (name: RegExp): string | undefined => name.exec(said)?.[1]?.trim();
  // Up to 4.0 it is in the folder of the settings, and not told.
  const settings = folder(/^Personal configuration:\s*(.+)$/m);
  return {
    extcap: folder(/^Personal Extcap path:\s*(.+)$/m) ?? join(settings === undefined ? usual : settings, 'extcap'),
    plugins:
      folder(/^Personal Lua Plugins:\s*(.+)$/m) ?? folder(/^Personal Plugins:\s*(.+)$/m) ?? join(usual, 'plugins'),
  };
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}
