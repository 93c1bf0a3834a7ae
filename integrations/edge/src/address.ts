// Addresses are bits, not spellings: one parser, as strict as ipwarden's own.

/** The bits of an address: 4 bytes or 16. */
export type Bits = Uint8Array;

/**
 * Reads one address: dotted-decimal IPv4 without leading zeros, or IPv6 (RFC 4291
 * section 2.2). No ports, brackets, spaces, octal, hexadecimal or short forms. A zone
 * is dropped. null: it is none.
 */
export function parse(text: string): Bits | null {
  if (text.length > 45 + 65) return null;
  if (text.indexOf(":") < 0) return parse4(text);
  const percent = text.indexOf("%");
  if (percent >= 0) {
    if (!/^[\w.-]{1,64}$/.test(text.slice(percent + 1))) return null;
    text = text.slice(0, percent);
  }
  return parse6(text);
}

function parse4(text: string): Bits | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  const out = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const p = parts[i]!;
    if (!/^(0|[1-9]\d{0,2})$/.test(p) || +p > 255) return null;
    out[i] = +p;
  }
  return out;
}

function parse6(text: string): Bits | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const lists: number[][] = [];
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    const groups: number[] = [];
    const parts = half === "" ? [] : half.split(":");
    for (let j = 0; j < parts.length; j++) {
      const p = parts[j]!;
      if (p.indexOf(".") >= 0) {
        // An IPv4 tail, at the very end alone.
        const four = j === parts.length - 1 && i === halves.length - 1 ? parse4(p) : null;
        if (!four) return null;
        groups.push((four[0]! << 8) | four[1]!, (four[2]! << 8) | four[3]!);
      } else {
        if (!/^[\da-f]{1,4}$/i.test(p)) return null;
        groups.push(parseInt(p, 16));
      }
    }
    lists.push(groups);
  }
  const [head, tail = []] = lists as [number[], number[]?];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const out = new Uint8Array(16);
  [...head, ...new Array<number>(missing).fill(0), ...tail].forEach((g, i) => {
    out[2 * i] = g >> 8;
    out[2 * i + 1] = g & 255;
  });
  return out;
}

/**
 * Takes the IPv4 address out of what wraps one: IPv4-mapped, NAT64 (RFC 6052), 6to4
 * (RFC 3056) and Teredo (RFC 4380, whose bits are inverted). Others stay.
 */
export function unwrap(a: Bits): Bits {
  if (a.length === 4) return a;
  const starts = (...bytes: number[]) => bytes.every((b, i) => a[i] === b);
  if (starts(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255)) return a.slice(12);
  if (starts(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0)) return a.slice(12);
  if (starts(0x20, 0x02)) return a.slice(2, 6);
  if (starts(0x20, 0x01, 0, 0)) return a.slice(12).map((b) => b ^ 255);
  return a;
}

/** Writes an address as RFC 5952 wants it. */
export function format(a: Bits): string {
  if (a.length === 4) return a.join(".");
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((a[i]! << 8) | a[i + 1]!);
  let best = 0, from = -1;
  for (let i = 0; i < 8; i++) {
    let n = i;
    while (n < 8 && groups[n] === 0) n++;
    if (n - i > best && n - i > 1) { best = n - i; from = i; }
  }
  const hex = (g: number[]) => g.map((x) => x.toString(16)).join(":");
  return from < 0 ? hex(groups) : `${hex(groups.slice(0, from))}::${hex(groups.slice(from + best))}`;
}

/** The canonical text of an address, as ipwarden writes it; null: it is none. */
export function canonical(text: string | null | undefined): string | null {
  const a = text ? parse(text) : null;
  return a && format(unwrap(a));
}

/** The network of an address at a length, such as 203.0.113.0/24. */
export function network(a: Bits, bits: number): string {
  const out = a.slice();
  for (let i = 0; i < out.length; i++) {
    const keep = Math.min(8, Math.max(0, bits - 8 * i));
    out[i]! &= (0xff00 >> keep) & 255;
  }
  return `${format(out)}/${bits}`;
}

/** Whether a network in canonical text has an address; false for what is no network. */
export function within(a: Bits, net: string): boolean {
  const slash = net.indexOf("/");
  const bits = net.slice(slash + 1);
  if (slash < 0 || !/^(0|[1-9]\d{0,2})$/.test(bits) || +bits > 8 * a.length) return false;
  return network(a, +bits) === net;
}
