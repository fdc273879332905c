/** Addresses inside every tunnel, and the MTU that all of them have: WireGuard's on a link of 1500. */
export const INNER = { a: '10.77.0.1', b: '10.77.0.2' };
export const MTU = 1420;
/** Where the end that is dialled listens. */
export const PORT = 51820;
export const other = (end) => (end === 'a' ? 'b' : 'a');
