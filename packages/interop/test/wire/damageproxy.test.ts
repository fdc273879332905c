import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { damageBytes } from '../../src/wire/damage.js';
import { DamageProxy } from '../../src/wire/damageproxy.js';

const HOST = '127.0.0.1';

describe('damageBytes', () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => i));

  test('flip changes one bit', () => {
    const out = damageBytes(bytes, 'flip', () => 0.5);
    const changed = [...out].flatMap((byte, i) => (byte === bytes[i] ? [] : [byte ^ bytes[i]!]));
    expect(out.length).toBe(100);
    expect(changed).toEqual([1 << 4]);
  });

  test('insert adds bytes, delete takes some away; the rest stays in order', () => {
    const longer = damageBytes(bytes, 'insert', () => 0.5);
    expect([...longer.subarray(0, 50), ...longer.subarray(longer.length - 50)]).toEqual([...bytes]);
    expect(longer.length).toBeGreaterThan(100);
    const shorter = damageBytes(bytes, 'delete', () => 0.5);
    expect(shorter.length).toBeLessThan(100);
    expect(shorter.equals(Buffer.concat([bytes.subarray(0, 50), bytes.subarray(200 - shorter.length - 50)]))).toBe(
      true,
    );
  });

  test.each(['flip', 'insert', 'delete'] as const)('nothing is no trouble for %s', (what) => {
    expect(() => damageBytes(new Uint8Array(), what, () => 0.9)).not.toThrow();
    expect(() => damageBytes(Buffer.from([1]), what, () => 0.999)).not.toThrow();
  });
});

describe('DamageProxy', () => {
  const server = createServer({ allowHalfOpen: true });
  let proxy: DamageProxy;
  const ends: Socket[] = [];

  beforeEach(async () => {
    server.listen(0, HOST);
    await once(server, 'listening');
    proxy = await DamageProxy.listen(HOST, { host: HOST, port: (server.address() as AddressInfo).port }, () => 0.5);
  });

  afterEach(async () => {
    await proxy.close();
    for (const socket of ends.splice(0)) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  async function pair(): Promise<{ near: Socket; far: Socket }> {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const near = connect({ host: HOST, port: proxy.port, allowHalfOpen: true });
    const [far] = await accepted;
    ends.push(near, far);
    for (const socket of ends) socket.on('error', () => undefined);
    return { near, far };
  }

  test('bytes pass both ways, and so does the end of each direction', async () => {
    const { near, far } = await pair();
    near.end('there');
    expect(String((await once(far, 'data'))[0])).toBe('there');
    await once(far, 'end');
    far.end('back');
    expect(String((await once(near, 'data'))[0])).toBe('back');
    await once(near, 'end');
    expect(proxy.damaged).toBe(0);
  });

  test('the next pieces are damaged as often as was said, each way', async () => {
    const { near, far } = await pair();
    proxy.damage('insert', 1);
    near.write('0123456789');
    expect((await once(far, 'data'))[0].length).toBeGreaterThan(10);
    near.write('0123456789');
    expect(String((await once(far, 'data'))[0])).toBe('0123456789');
    far.write('0123456789');
    expect((await once(near, 'data'))[0].length).toBeGreaterThan(10);
    expect(proxy.damaged).toBe(2);
  });

  test('a reset on one side ends the other', async () => {
    const { near, far } = await pair();
    const gone = new Promise((resolve) => far.once('close', resolve));
    near.resetAndDestroy();
    far.resume();
    await gone;
  });
});
