/** IPv4 networks as users write them. */

/** `a.b.c.d/n` with the host bits cleared, from `a.b.c.d` or `a.b.c.d/n`; undefined when it is neither. */
export function normalizeCidr(text: string): string | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text);
  if (!match) return undefined;
  const octets = match.slice(1, 5);
  const bits = match[5] === undefined ? 32 : Number(match[5]);
  if (bits > 32 || octets.some((o) => Number(o) > 255 || (o.length > 1 && o.startsWith("0")))) {
    return undefined;
  }
  const address = octets.reduce((n, o) => n * 256 + Number(o), 0);
  const network = address - (address % 2 ** (32 - bits));
  const dotted = [24, 16, 8, 0].map((shift) => Math.floor(network / 2 ** shift) % 256).join(".");
  return `${dotted}/${bits}`;
}
