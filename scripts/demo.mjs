/**
 * `npm run demo`: two hosts joined by WireGuard over TCP, seen from every side. As root with a TUN the hosts are two network namespaces;
 * otherwise both ends run in user space on loopback.
 */
import { existsSync } from 'node:fs';
import { build, checkNode, installPackages, installPrograms, isRoot, say } from './lib/setup.mjs';

const PROGRAMS = { ip: 'iproute2', ping: 'iputils-ping', iperf3: 'iperf3', tcpdump: 'tcpdump' };

try {
  checkNode();
  installPackages();
  build();
  const missing = isRoot ? installPrograms(PROGRAMS) : [];
  const why = !isRoot
    ? 'this is not root'
    : !existsSync('/dev/net/tun')
      ? 'there is no /dev/net/tun'
      : missing.length > 0
        ? `${missing.join(', ')} cannot be installed`
        : null;
  if (why === null) {
    const { namespaces } = await import('./lib/demo-namespaces.mjs');
    await namespaces();
  } else {
    say(`both ends in user space, because ${why}`);
    const { userspace } = await import('./lib/demo-userspace.mjs');
    await userspace();
  }
} catch (error) {
  console.error(`demo failed: ${error.message}`);
  process.exitCode = 1;
}
