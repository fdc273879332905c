import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { DeviceSettings } from '../../src/device/settings.js';
import { packSettings, unpackSettings } from '../../src/linux/packedsettings.js';

test('settings are the same behind the thread border', () => {
  const prefix = fc.constantFrom(4, 16).chain((size) =>
    fc.record({
      bytes: fc.uint8Array({ minLength: size, maxLength: size }),
      length: fc.integer({ min: 0, max: 8 * size }),
    }),
  );
  const change = fc.record({ prefix, remove: fc.constant(true as const) }, { requiredKeys: ['prefix'] });
  const peer = fc.record(
    {
      publicKey: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      updateOnly: fc.boolean(),
      persistentKeepalive: fc.nat(65_535),
      allowedIps: fc.array(change),
    },
    { requiredKeys: ['publicKey', 'allowedIps'] },
  );
  const settings = fc.record({ listenPort: fc.nat(65_535), peers: fc.array(peer) }, { requiredKeys: ['peers'] });
  fc.assert(
    fc.property(settings, (before: DeviceSettings) => {
      expect(unpackSettings(structuredClone(packSettings(before)))).toEqual(before);
    }),
  );
});
