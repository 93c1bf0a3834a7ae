// Addresses are bits, not spellings: one parser, as strict as ipwarden's own.

/** The bits of an address: 4 bytes or 16. */
export type Bits = Uint8Array;

/**
 * Reads one address: dotted-decimal IPv4 without leading zeros, or IPv6 (RFC 4291
 * section 2.2). No ports, brackets, spaces, octal, hexadecimal or short forms. A zone
 * is dropped. null: it is none.
 */
export function parse(text: string): Bits | null {
  const m = text.length > 110 ? null : /^([\da-f.:]+)(%[\w.-]{1,64})?$/i.exec(text);
  return m && (m[1]!.includes(":") ? parse6(m[1]!) : parse4(text));
}

function parse4(text: string): Bits | null {
  const out = text.split(".").map((p) => (/^(0|[1-9]\d{0,2})$/.test(p) ? +p : 256));
  return out.length === 4 && out.every((n) => n < 256) ? Uint8Array.from(out) : null;
}

function parse6(text: string): Bits | null {
  if (text.includes(".")) { // an IPv4 tail, at the very end alone
    const at = text.lastIndexOf(":") + 1;
    const four = parse4(text.slice(at));
    if (!four) return null;
    text = text.slice(0, at) + groups(four).join(":");
  }
  const halves = text.split("::").map((half) => (half ? half.split(":") : []));
  const all = halves.flat();
  const missing = 8 - all.length;
  if (halves.length > 2 || !all.every((g) => /^[\da-f]{1,4}$/i.test(g)) || (halves.length > 1 ? missing < 1 : missing)) return null;
  all.splice(halves[0]!.length, 0, ...new Array<string>(missing).fill("0"));
  const out = new Uint8Array(16);
  all.forEach((g, i) => {
    const n = parseInt(g, 16);
    out[2 * i] = n >> 8;
    out[2 * i + 1] = n;
  });
  return out;
}

/** The bytes two by two, in hexadecimal. */
function groups(a: Bits): string[] {
  const out: string[] = [];
  for (let i = 0; i < a.length; i += 2) out.push(((a[i]! << 8) | a[i + 1]!).toString(16));
  return out;
}

/** An IPv4-mapped address as the IPv4 one. Others stay. */
export function unmap(a: Bits): Bits {
  return a.length > 4 && a.every((b, i) => i > 11 || b === (i > 9 ? 255 : 0)) ? a.slice(12) : a;
}

/**
 * Takes the IPv4 address out of what wraps one: IPv4-mapped, NAT64 (RFC 6052), 6to4
 * (RFC 3056) and Teredo (RFC 4380, whose bits are inverted). Others stay.
 */
export function unwrap(a: Bits): Bits {
  if (a.length === 4) return a;
  const text = groups(a).join(":");
  return /^64:ff9b(:0){4}:/.test(text) ? a.slice(12)
    : /^2002:/.test(text) ? a.slice(2, 6)
    : /^2001:0:/.test(text) ? a.slice(12).map((b) => b ^ 255)
    : unmap(a);
}

/** Writes an address as RFC 5952 wants it. */
export function format(a: Bits): string {
  if (a.length === 4) return a.join(".");
  const text = groups(a).join(":");
  let zeros = "", at = 0; // the longest run, and of two as long the first
  for (const m of text.matchAll(/\b0(:0)+\b/g)) if (m[0].length > zeros.length) [zeros, at] = [m[0], m.index];
  return zeros ? (text.slice(0, at) + "::" + text.slice(at + zeros.length)).replace(/:::+/, "::") : text;
}

/** The canonical text of an address, as ipwarden writes it; null: it is none. */
export function canonical(text: string | null | undefined): string | null {
  const a = text ? parse(text) : null;
  return a && format(unwrap(a));
}

/** What of byte i counts in a network of so many bits. */
const mask = (bits: number, i: number) => (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))) & 255;

/** The network of an address at a length, such as 203.0.113.0/24. */
export function network(a: Bits, bits: number): string {
  return `${format(a.map((b, i) => b & mask(bits, i)))}/${bits}`;
}

/** A network: the bits of an address in it, and how many of them count. */
export type Network = [bits: Bits, length: number];

/** Reads a network, such as 203.0.113.0/24; null: it is none. */
export function parseNetwork(text: string): Network | null {
  const m = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const bits = m && parse(m[1]!);
  return bits && +m[2]! <= 8 * unmap(bits).length ? [unmap(bits), +m[2]!] : null;
}

/** Whether a network has an address. */
export function within(a: Bits, net: Network): boolean {
  return a.length === net[0].length && a.every((b, i) => !((b ^ net[0][i]!) & mask(net[1], i)));
}
