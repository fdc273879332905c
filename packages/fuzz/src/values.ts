/** Inputs as JSON and back: plain data, with byte arrays and big integers marked. */

export function encodeValue(value: unknown): string {
  return JSON.stringify(
    value,
    (_, part: unknown) => {
      if (part instanceof Uint8Array) return { $bytes: Buffer.from(part).toString('base64') };
      if (typeof part === 'bigint') return { $bigint: String(part) };
      if (part === undefined) return { $undefined: true };
      if (typeof part === 'number' && !Number.isFinite(part)) return { $number: String(part) };
      return part;
    },
    1,
  );
}

export function decodeValue(text: string): unknown {
  return revive(JSON.parse(text));
}

function revive(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(revive);
  if (typeof part !== 'object' || part === null) return part;
  const object = part as Record<string, unknown>;
  if (typeof object['$bytes'] === 'string') return new Uint8Array(Buffer.from(object['$bytes'], 'base64'));
  if (typeof object['$bigint'] === 'string') return BigInt(object['$bigint']);
  if (typeof object['$number'] === 'string') return Number(object['$number']);
  if (object['$undefined'] === true) return undefined;
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, revive(value)]));
}
