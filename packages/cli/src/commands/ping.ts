import { Args, Command, Flags } from '@oclif/core';
import { isInterfaceName } from '@wirestream/core/config/names';
import { WirestreamError } from '@wirestream/core/device/errors';
import { ControlClient } from '../control/control.js';
import { controlSocket, runPaths } from '../control/paths.js';

/** ms between two requests */
const INTERVAL = 200;

export default class Ping extends Command {
  static override summary = 'Ping an address through a tunnel without an interface.';
  static override description = `Sends echo requests from the tunnel's own address. For tunnels with an interface there is ping(8).`;
  static override examples = [
    '<%= config.bin %> ping office 10.0.0.1',
    '<%= config.bin %> ping office 10.0.0.1 --count 20',
  ];
  static override args = {
    tunnel: Args.string({ required: true, description: 'the name of a running tunnel' }),
    address: Args.string({ required: true, description: 'an IP address inside the tunnel' }),
  };
  static override flags = {
    count: Flags.integer({ char: 'c', default: 5, min: 1, description: 'requests to send' }),
    size: Flags.integer({ char: 's', default: 56, min: 0, max: 65_000, description: 'bytes of data in each' }),
    timeout: Flags.integer({ char: 'W', default: 5000, min: 1, description: 'ms to wait for each answer' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Ping);
    const { count, size, timeout } = flags;
    if (!isInterfaceName(args.tunnel))
      throw new WirestreamError('usage', `'${args.tunnel}' is not the name of a tunnel`);
    const client = await ControlClient.open(controlSocket(runPaths(), args.tunnel)).catch(() => {
      throw new WirestreamError(
        'no-tunnel',
        `there is no tunnel ${args.tunnel}`,
        'wirestream show interfaces lists them',
      );
    });
    const times: number[] = [];
    let reason = '';
    try {
      for (let i = 1; i <= count; i++) {
        if (i > 1) await new Promise((resolve) => setTimeout(resolve, INTERVAL));
        try {
          const ms = await client.ping(args.address, { size, timeout });
          times.push(ms);
          this.log(`${size + 8} bytes from ${args.address}: seq=${i} time=${ms.toFixed(2)} ms`);
        } catch (error) {
          reason = (error as Error).message;
          this.log(`seq=${i} ${reason}`);
        }
      }
    } finally {
      client.close();
    }
    this.log(`${count} sent, ${times.length} received, ${(100 * (1 - times.length / count)).toFixed(0)}% lost`);
    if (times.length === 0) throw new WirestreamError('no-answer', `no answer from ${args.address}: ${reason}`);
  }
}
