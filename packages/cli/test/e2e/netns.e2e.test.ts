import { afterAll, describe, jest } from '@jest/globals';
import { addressScenarios } from './netns/addresses.js';
import { configurationScenarios } from './netns/configuration.js';
import { loopbackScenarios } from './netns/loopback.js';
import { natScenarios } from './netns/nat.js';
import { scenarios, Table } from './netns/scenario.js';
import { kinds } from './support/kinds.js';
import { describeReal, LONG } from './support/requirements.js';

/**
 * The scenarios of the Linux kernel's own WireGuard self-test (tools/testing/selftests/wireguard/netns.sh), each over UDP
 * and, where it makes sense, over TCP; everything is driven by wg(8) and ip(8).
 */
jest.setTimeout(LONG ? 180_000 : 30_000);

describeReal("the kernel self-test's scenarios", ['wg', 'iperf3', 'tcpdump', 'nft', 'wireguard-go'], () => {
  const table = new Table(kinds().map(({ label }) => label));
  afterAll(() => void process.stderr.write(`\n${table.toString()}\n`));

  for (const kind of kinds()) {
    const scenario = scenarios(table, kind);
    describe(`${kind.label}, sockets on one loopback`, () => loopbackScenarios(kind, scenario));
    describe(`${kind.label}, through a NAT`, () => natScenarios(kind, scenario));
    describe(`${kind.label}, outer addresses`, () => addressScenarios(kind, scenario));
    describe(`${kind.label}, configuration`, () => configurationScenarios(kind, scenario));
  }
});
