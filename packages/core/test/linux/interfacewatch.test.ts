import { expect, test } from '@jest/globals';
import { Epoll, EPOLLIN } from '../../src/linux/epoll.js';
import { InterfaceWatch } from '../../src/linux/interfacewatch.js';
import { drainRouteWatch } from '../../src/linux/routewatch.js';
import { bindUdp } from '../../src/linux/sockets.js';
import { close } from '../../src/linux/syscalls.js';
import { openTun } from '../../src/linux/tun.js';
import { newNamespace, noTun, run, type Namespace } from './helpers.js';

const rooted = noTun === null ? test : test.skip;
const why = noTun === null ? '' : ` (SKIPPED: ${noTun})`;

rooted('MTU, name, up and down, and moves from namespace to namespace are noticed' + why, async () => {
  const spaces = [await newNamespace(), await newNamespace(), await newNamespace()] as const;
  const [home, second, third] = spaces;
  await home.inside(async () => {
    const tun = openTun({ name: 'wstw0', offload: false });
    const epoll = new Epoll();
    const watch = new InterfaceWatch(tun.fd);
    epoll.add(watch.fd, EPOLLIN, 1);
    const look = () => watch.look();
    /** Makes a change, and looks when something is said to have happened. */
    const after = async (space: Namespace, ...args: string[]) => {
      drainRouteWatch(watch.fd);
      // The programs of another namespace are started from there; the watch itself must not be.
      await space.ip(...args);
      home.enter();
      expect(epoll.wait(5000)).toBe(1);
      return look();
    };
    try {
      expect(look()).toEqual({ name: 'wstw0', mtu: 1500, up: false, elsewhere: false });
      const link = ['link', 'set', 'wstw0'];
      expect(await after(home, ...link, 'mtu', '1299')).toMatchObject({ mtu: 1299 });
      expect(await after(home, ...link, 'up')).toMatchObject({ up: true });
      expect(await after(home, ...link, 'netns', second.path)).toMatchObject({ up: false, elsewhere: true, mtu: 1299 });
      expect(await after(second, ...link, 'mtu', '1300')).toMatchObject({ mtu: 1300, elsewhere: true });
      expect(await after(second, ...link, 'name', 'other')).toMatchObject({ name: 'other' });
      // Somebody else's interface of the same name is none of our business.
      await run('ip', ['link', 'add', 'other', 'mtu', '1400', 'type', 'bridge']);
      expect(await after(second, 'link', 'set', 'other', 'netns', third.path)).toMatchObject({ mtu: 1300 });
      expect(await after(third, 'link', 'set', 'other', 'mtu', '1301')).toMatchObject({ mtu: 1301 });
      await run('ip', ['link', 'delete', 'other']);
      expect(await after(third, 'link', 'set', 'other', 'netns', home.path)).toMatchObject({ elsewhere: false });
      // This thread is where it was.
      const { stdout } = await run('ip', ['-json', 'link', 'show', 'dev', 'other']);
      expect(stdout).toContain('"other"');
      await run('ip', ['link', 'delete', 'other']);
      expect(look()).toBeNull();
      const socket = bindUdp(4, 0);
      expect(socket).toBeGreaterThan(0);
      close(socket);
    } finally {
      watch.close();
      epoll.close();
      close(tun.fd);
    }
  });
  for (const space of spaces) space.close();
});

rooted('nothing of ours keeps the namespace alive that it went to' + why, async () => {
  const [home, second] = [await newNamespace(), await newNamespace()];
  await home.inside(async () => {
    const tun = openTun({ name: 'wstw1', offload: false });
    const watch = new InterfaceWatch(tun.fd);
    try {
      await home.ip('link', 'set', 'wstw1', 'netns', second.path);
      home.enter();
      expect(watch.look()).toMatchObject({ name: 'wstw1', elsewhere: true });
      second.close();
      // The kernel ends namespaces in a thread of its own, and the interface with them.
      for (let i = 0; i < 500 && watch.look() !== null; i++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        home.enter();
      }
      expect(watch.look()).toBeNull();
    } finally {
      watch.close();
      close(tun.fd);
    }
  });
  home.close();
});
