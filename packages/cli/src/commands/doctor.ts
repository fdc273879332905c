import { Command, Flags } from '@oclif/core';
import { diagnose, type Diagnosis } from '../doctor/diagnose.js';
import { thisSystem } from '../doctor/system.js';

const WIDTH = 'problem'.length;

export default class Doctor extends Command {
  static override summary = 'Say whether tunnels can run here, with what, and what is missing.';
  static override description = `Looks at Node, the native parts, cryptography (which provider is in use, why, and how fast each is), TUN interfaces and their offload, UDP offload, IPv6, and the programs that set up the network. Changes nothing.

The exit code is 0 when wirestream up can be expected to work, else 1. A note is no obstacle.`;
  static override examples = ['<%= config.bin %> doctor', '<%= config.bin %> doctor --json | jq .ready'];
  static override flags = {
    json: Flags.boolean({ description: 'the findings as JSON' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const diagnosis = await diagnose(thisSystem);
    if (flags.json) this.log(JSON.stringify({ version: this.config.version, ...diagnosis }, null, 2));
    else for (const line of diagnosisLines(diagnosis)) this.log(line);
    if (!diagnosis.ready) this.exit(1);
  }
}

/** For people: a line per finding, hints below, and what it comes to. */
export function diagnosisLines({ findings, summary }: Diagnosis): string[] {
  const lines = findings.flatMap(({ state, says, hint }) => [
    `${state.padEnd(WIDTH)}  ${says}`,
    ...(hint === undefined ? [] : [`${' '.repeat(WIDTH)}  hint: ${hint}`]),
  ]);
  return [...lines, '', summary];
}
