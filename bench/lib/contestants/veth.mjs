import { attempt } from '../run.mjs';
import { OUTER } from '../link/link.mjs';
import { MTU } from './inner.mjs';

/** No tunnel at all: what the machine, or the shaped link, can do. */
export const veth = {
  id: 'veth',
  title: 'no tunnel (plain link)',
  linkMtu: MTU,
  describe: () => attempt(['uname', '-r'])?.text.trim() ?? '',
  address: OUTER.b,
  async up() {},
};
