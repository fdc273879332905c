import { expect, test } from '@jest/globals';
import { ipv6Obstacle, koffiVersion, tunAbilities, udpAbilities } from '../../src/linux/abilities.js';
import { interfaceExists } from '../../src/linux/interface.js';
import { openTun } from '../../src/linux/tun.js';
import { close } from '../../src/linux/syscalls.js';
import { noIpv6, noTun } from './helpers.js';

const rooted = noTun === null ? test : test.skip;

rooted('what a TUN takes is what the engine is granted, and the interface is gone again', async () => {
  const { flags } = tunAbilities();
  const tun = openTun({ name: 'wsability%d', offload: true });
  close(tun.fd);
  expect(['CSUM', 'TSO4', 'TSO6'].every((flag) => flags.includes(flag))).toBe(tun.offload.tcp);
  expect(['USO4', 'USO6'].every((flag) => flags.includes(flag))).toBe(tun.offload.udp);
  expect(await interfaceExists('wsdoctor0')).toBe(false);
});

test('sockets', () => {
  // Both are older than any Node that this runs on needs (Linux 5.0 at the latest).
  expect(udpAbilities()).toEqual({ segmentation: true, coalescing: true });
  expect(ipv6Obstacle() === null).toBe(noIpv6 === null);
  expect(koffiVersion).toMatch(/^\d+\.\d+\.\d+/);
});
