/**
 * Looks at everything that decides whether a tunnel runs here, and how fast.
 *
 * Theory of operation. Nothing is changed, apart from a TUN interface that is made and gone again within milliseconds. What is a problem depends on what
 * `up` would do by itself: without the privileges for an interface it would run in user space, where most of what an interface
 * takes is not missed.
 */
import type { DriverName } from '../daemon/host.js';
import { cryptoFinding } from './crypto.js';
import { note, ok, problem, type Finding } from './finding.js';
import { bufferFinding, ipv6Finding, kernelWireguardFinding, tunFindings, udpFinding } from './kernel.js';
import { programFindings } from './programs.js';
import type { Native, System } from './system.js';

/** First release that has what the packages need (package.json, engines). */
const NODE_MIN = '20.19.0';

export interface Diagnosis {
  /** what `up` would run */
  readonly driver: DriverName;
  /** whether it would work, as far as can be told without a configuration */
  readonly ready: boolean;
  readonly summary: string;
  readonly findings: readonly Finding[];
}

export async function diagnose(system: System): Promise<Diagnosis> {
  const { driver, why } = system.chooseDriver();
  const required = driver === 'linux';
  const findings = [nodeFinding(system)];
  const native = await system.native().catch((error: unknown) => koffiMissing(system, required, error));
  if ('koffiVersion' in native) {
    findings.push(
      ok('koffi', `koffi ${native.koffiVersion}: native system calls and cryptography on ${where(system)}`),
    );
    findings.push(...nativeFindings(native, required));
  } else findings.push(native);
  if (why !== null)
    findings.push(note('privileges', `${why}: up makes no interface, tunnels run in user space`, 'run it as root'));
  else findings.push(ok('privileges', 'CAP_NET_ADMIN and /dev/net/tun are there'));
  findings.push(...programFindings(system, required));
  if (system.platform === 'linux') findings.push(kernelWireguardFinding(system), bufferFinding(system, driver));
  const ready = findings.every(({ state }) => state !== 'problem');
  return { driver, ready, summary: summary(driver, ready, findings), findings };
}

function nativeFindings(native: Native, required: boolean): Finding[] {
  const network = [udpFinding(native), ipv6Finding(native)];
  // Without the privilege there is nothing to try; what is missing is said elsewhere.
  return [cryptoFinding(native), ...(required ? tunFindings(native, true) : []), ...network];
}

function nodeFinding({ nodeVersion }: System): Finding {
  const parts = (version: string): number[] => version.split('.').map(Number);
  const [have, want] = [parts(nodeVersion), parts(NODE_MIN)];
  const at = want.findIndex((number, i) => have[i] !== number);
  const enough = at < 0 || have[at]! > want[at]!;
  const says = `Node ${nodeVersion}`;
  return enough ? ok('node', says) : problem('node', `${says} is too old`, `${NODE_MIN} or newer is needed`);
}

function koffiMissing(system: System, required: boolean, error: unknown): Finding {
  const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
  const says = `koffi does not load on ${where(system)} (${reason}): no interfaces, and slower cryptography`;
  return required ? problem('koffi', says, 'npm install; or wirestream up --rootless') : note('koffi', says);
}

const where = ({ platform, arch }: System): string => `${platform}/${arch}`;

function summary(driver: DriverName, ready: boolean, findings: readonly Finding[]): string {
  if (!ready) {
    const problems = findings.filter(({ state }) => state === 'problem').map(({ id }) => id);
    const way = driver === 'linux' ? '; wirestream up --rootless needs less' : '';
    return `wirestream up would fail because of: ${problems.join(', ')}${way}`;
  }
  const offload = findings.some(({ id, state }) => id === 'offload' && state === 'ok');
  return driver === 'linux'
    ? `wirestream up would make an interface, ${offload ? 'with' : 'without'} offload (linux driver)`
    : 'wirestream up would run the tunnel in user space, without an interface (portable driver)';
}
