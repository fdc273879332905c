import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import { isWirestreamError } from '@wirestream/core/device/errors';
import type { EngineHost } from '@wirestream/core/linux/enginehost';
import type { Rng } from '../campaign/mutate.js';
import { must, mustEqual } from '../target.js';

/** How soon the engine knows of what others do to its interface, ms. */
const NOTICED = 10_000;

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  must(status === 0, () => `ip ${args.join(' ')}: ${stderr}`);
}

/** What others do to an interface in use, the engine knows; and what cannot be done is refused by its code, and changes nothing. */
export async function administrate(
  engine: EngineHost,
  settings: DeviceSettings,
  taken: number,
  rng: Rng,
): Promise<void> {
  const { name } = engine.info;
  const mtu = 1280 + rng.below(100);
  ip('link', 'set', 'dev', name, 'mtu', String(mtu));
  await until(engine, (now) => now?.mtu === mtu, `an MTU of ${mtu}`);
  ip('link', 'set', 'dev', name, 'down');
  await until(engine, (now) => now?.up === false, 'that it is down');
  ip('link', 'set', 'dev', name, 'up');
  await until(engine, (now) => now?.up === true && now.name === name, 'that it is up');

  const before = await engine.snapshot();
  mustEqual(
    await codeOf(engine.configure({ listenPort: taken, fwmark: 99, peers: [] })),
    'port-in-use',
    'a port that is taken',
  );
  mustEqual(
    [(await engine.snapshot()).listenPort, before.fwmark],
    [before.listenPort, 0],
    'what a refused change leaves',
  );
  await engine.configure({ fwmark: 7, peers: [] });
  mustEqual((await engine.snapshot()).fwmark, 7, 'the mark');
  await engine.configure({ fwmark: 0, peers: [] });

  const { startEngine } = await import('@wirestream/core/linux/enginehost');
  const start = async (other: string, listenPort: number) => {
    const another = await startEngine({
      name: other,
      offload: false,
      mtu: 1420,
      settings: { ...settings, listenPort },
    });
    await another.stop();
  };
  mustEqual(await codeOf(start(name, 0)), 'tun-busy', 'an interface in use');
  mustEqual(await codeOf(start('lo', 0)), 'tun-not-a-tun', 'an interface that is none of ours');
  mustEqual(await codeOf(start('a name', 0)), 'tun-name', 'what cannot be a name');
  mustEqual(await codeOf(start('wsflows1', taken)), 'port-in-use', 'a port that is taken');

  const { setUpInterface, interfaceExists } = await import('@wirestream/core/linux/interface');
  const addresses = [{ bytes: Uint8Array.of(10, 0, 0, 1), length: 24 }];
  const twice = setUpInterface({ name, addresses, mtu, routes: [], table: 1 + rng.below(200) });
  mustEqual(await codeOf(twice), 'interface-setup-failed', 'an address that is there');
  mustEqual(
    [await interfaceExists(name), await interfaceExists('wsflows1')],
    [true, false],
    'which interfaces there are',
  );
}

/** What the kernel says that it can do, and what it does when it is asked to, is the same. */
export async function compareAbilities(engine: EngineHost, offload: boolean): Promise<void> {
  const { ipv6Obstacle, tunAbilities, udpAbilities } = await import('@wirestream/core/linux/abilities');
  const { flags } = tunAbilities();
  const granted = engine.info.offload;
  mustEqual(granted.tcp, offload && ['CSUM', 'TSO4', 'TSO6'].every((flag) => flags.includes(flag)), 'TCP offload');
  mustEqual(granted.udp, granted.tcp && flags.includes('USO4') && flags.includes('USO6'), 'UDP offload');
  const udp = udpAbilities();
  must(udp.segmentation || !udp.coalescing, 'coalescing came later than segmentation');
  mustEqual(ipv6Obstacle(), null, 'what stands in the way of IPv6 on loopback');
}

/** Another network namespace has the interface for a while, and the engine goes on knowing how it is. */
export async function moveAway(engine: EngineHost): Promise<void> {
  const { name } = engine.info;
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    await once(holder.stdout, 'data');
    ip('link', 'set', 'dev', name, 'netns', String(holder.pid));
    await until(engine, (now) => now?.elsewhere === true && !now.up, 'that it is elsewhere');
    const inside = (...args: string[]) => {
      const { status } = spawnSync('nsenter', [
        '-t',
        String(holder.pid),
        '-n',
        'ip',
        'link',
        'set',
        'dev',
        name,
        ...args,
      ]);
      must(status === 0, () => `ip link set ${args.join(' ')} failed there`);
    };
    inside('mtu', '1333', 'up');
    await until(engine, (now) => now?.elsewhere === true && now.up && now.mtu === 1333, 'its MTU there');
    inside('netns', String(process.pid));
    await until(engine, (now) => now?.elsewhere === false, 'that it is back');
  } finally {
    const gone = once(holder, 'exit');
    holder.stdin.end();
    await gone;
  }
}

/** Takes the interface away from under an engine, which ends and says why. */
export async function takeAway(engine: EngineHost): Promise<void> {
  ip('link', 'delete', 'dev', engine.info.name);
  mustEqual((await engine.ended)?.code, 'tun-gone', 'why it ended');
  mustEqual(await codeOf(engine.snapshot()), 'tun-gone', 'what is said to whoever asks later');
}

async function until(
  engine: EngineHost,
  is: (now: Awaited<ReturnType<EngineHost['snapshot']>>['interface']) => boolean,
  what: string,
): Promise<void> {
  for (let waited = 0; ; waited += 20) {
    const { interface: now } = await engine.snapshot();
    if (is(now)) return;
    must(waited < NOTICED, () => `the engine does not know ${what}: ${JSON.stringify(now)}`);
    await sleep(20);
  }
}

async function codeOf(what: Promise<unknown>): Promise<string> {
  try {
    await what;
    return 'nothing';
  } catch (error) {
    return isWirestreamError(error) ? error.code : String(error);
  }
}
