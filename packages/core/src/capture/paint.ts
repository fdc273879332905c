/** Colours for people; `plain` leaves text as it is. */
export interface Paint {
  dim(text: string): string;
  bold(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  odd(text: string): string;
  name(text: string): string;
}

const same = (text: string): string => text;
export const plain: Paint = { dim: same, bold: same, good: same, bad: same, odd: same, name: same };

/** Select Graphic Rendition (ECMA-48 §8.3.117). */
const sgr = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`;
export const coloured: Paint = { dim: sgr(2), bold: sgr(1), good: sgr(32), bad: sgr(31), odd: sgr(33), name: sgr(36) };
