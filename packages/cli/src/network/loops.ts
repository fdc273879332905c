import type { Endpoint } from '@wirestream/core/address/endpoint';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { Shell } from './shell.js';

/**
 * Makes sure that the way to each endpoint is not through the tunnel itself: such a tunnel would be up and never carry
 * anything. The kernel is asked, after everything is set up, so that routes that hooks add count.
 * @param mark of the tunnel's own packets; 0: none
 * @throws WirestreamError routing-loop
 */
export async function checkLoops(
  name: string,
  endpoints: readonly Endpoint[],
  mark: number,
  shell: Shell,
): Promise<void> {
  for (const { address, family } of endpoints) {
    const marked = mark === 0 ? [] : ['mark', String(mark)];
    const route = await shell.query(['ip', `-${family}`, '-o', 'route', 'get', address, ...marked]);
    // No route at all is no loop; it may come later.
    if (route === null || !` ${route.replaceAll('\n', ' ')} `.includes(` dev ${name} `)) continue;
    throw new WirestreamError(
      'routing-loop',
      `the way to the endpoint ${address} leads into the tunnel itself`,
      `take ${address} out of AllowedIPs, add a route to it in PostUp, or use 0.0.0.0/0 or ::/0, which keep it out`,
    );
  }
}
