// Clients behind proxies of one's own: one header, read from the right, as package
// clientip does it (contract C1 to C7).
import { canonical, parse } from "./address.js";
import { trim } from "./headers.js";
import type { HeaderLine } from "./types.js";

/** Options of Proxies. */
export interface ProxiesOptions {
  /** Networks and addresses of the proxies whose word counts, such as 10.0.0.0/8. */
  trusted: string[];
  /**
   * The one header that they write: "X-Forwarded-For" (the default), to which each appends, or one
   * with a single address that the outermost overwrites, such as "CF-Connecting-IP" or
   * "CloudFront-Viewer-Address". Everything else that claims to tell the client is ignored.
   */
  header?: string;
}

const MAX_ELEMENTS = 32;
const MAX_ELEMENT = 192;

/** Proxies find the client of a request that came through them. */
export class Proxies {
  readonly #trusted: [bits: Uint8Array, length: number][] = [];
  readonly #header: string;

  /** Throws an Error that names every mistake. */
  constructor(options: ProxiesOptions) {
    const bad: string[] = [];
    this.#header = (options.header ?? "X-Forwarded-For").toLowerCase();
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,64}$/.test(this.#header)) bad.push(`header ${JSON.stringify(options.header)} is no name of a header, such as X-Forwarded-For`);
    if (this.#header === "forwarded") bad.push("header Forwarded is not read here; X-Forwarded-For is");
    if (options.trusted.length === 0) bad.push("trusted is empty: name the proxies, such as 10.0.0.0/8, or leave proxies out");
    for (const text of options.trusted) {
      const [address, length, more] = text.split("/");
      const bits = bitsOf(address ?? "");
      const most = bits ? bits.length * 8 : 0;
      const n = length === undefined ? most : /^(0|[1-9][0-9]{0,2})$/.test(length) ? +length : -1;
      if (!bits || more !== undefined || n < 0 || n > most) bad.push(`trusted ${JSON.stringify(text)} is no network, such as 10.0.0.0/8`);
      else if (n === 0) bad.push(`trusted ${text} is everybody, so that every client would choose its own address`);
      else this.#trusted.push([bits, n]);
    }
    if (bad.length > 0) throw new Error("proxies: " + bad.join("; "));
  }

  /**
   * The canonical address of the client: the peer that is no proxy, or what the proxies say.
   * null where they say nothing, or something that is no address: never what stands left of it.
   */
  client(peer: string | null | undefined, headers: HeaderLine[]): string | null {
    if (!this.#trusts(peer)) return canonical(peer);
    const lines: string[] = [];
    for (const [name, value] of headers) if (name.toLowerCase() === this.#header) lines.push(value);
    if (this.#header !== "x-forwarded-for") return lines.length === 1 ? single(this.#header, lines[0] as string) : null;
    let internal: string | null = null;
    let n = 0;
    for (let i = lines.length - 1; i >= 0; i--) {
      const line = lines[i] as string;
      for (let end = line.length; end >= 0; ) {
        if (++n > MAX_ELEMENTS) return null;
        const from = line.lastIndexOf(",", end - 1);
        const at = end === 0 ? -1 : from; // lastIndexOf reads -1 as 0
        if (end - at - 1 > MAX_ELEMENT) return null;
        const text = node(trim(line.slice(at + 1, end)));
        const address = text === null ? null : canonical(text);
        if (address === null) return null;
        if (!this.#trusts(text)) return address;
        internal = address;
        end = at;
      }
    }
    return internal; // all are proxies: it comes from within; or there was no header
  }

  // Of bits as they came: an IPv4 address inside of 6to4 is chosen by whoever sends from it.
  #trusts(address: string | null | undefined): boolean {
    const bits = bitsOf(address ?? "");
    return bits !== null && this.#trusted.some(([net, n]) => net.length === bits.length && begins(bits, net, n));
  }
}

/** The client of a request: the peer, or what proxies say. */
export function clientOf(peer: string | null | undefined, headers: HeaderLine[], proxies?: Proxies): string | null {
  return proxies ? proxies.client(peer, headers) : canonical(peer);
}

/** The bytes of an address; an IPv4-mapped one is the IPv4 one. */
function bitsOf(text: string): Uint8Array | null {
  const b = parse(text);
  const mapped = b?.length === 16 && b.every((v, i) => i > 11 || v === (i > 9 ? 255 : 0));
  return b && mapped ? b.slice(12) : b;
}

function begins(bits: Uint8Array, net: Uint8Array, n: number): boolean {
  for (let i = 0; n > 0; i++, n -= 8) {
    if ((((bits[i] as number) ^ (net[i] as number)) & (n >= 8 ? 255 : 0xff00 >> n)) !== 0) return false;
  }
  return true;
}

/** An element without brackets and port; null for one that is none. */
function node(s: string): string | null {
  const bracketed = /^\[([^\]]*:[^\]]*)\](:[0-9]{1,5})?$/.exec(s);
  const four = bracketed ? null : /^([0-9.]+)(:[0-9]{1,5})$/.exec(s);
  const found = bracketed ?? four;
  if (!found) return s;
  return +(found[2] ?? ":0").slice(1) > 65535 ? null : (found[1] as string);
}

/** The one address of a header that a proxy overwrites. */
function single(header: string, line: string): string | null {
  let s: string | null = line.length > MAX_ELEMENT ? "" : trim(line);
  if (header === "cloudfront-viewer-address" && s[0] !== "[") {
    // Always with a port, and IPv6 without brackets.
    const cut = /^(.+):([0-9]{1,5})$/.exec(s);
    return cut && +(cut[2] as string) <= 65535 ? canonical(cut[1] as string) : null;
  }
  s = node(s);
  return s === null ? null : canonical(s);
}
