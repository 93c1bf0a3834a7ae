// Clients behind proxies of one's own: one header, read from the right, as package
// clientip does it (contract C1 to C7).
import { canonical, parse, parseNetwork, unmap, within, type Network } from "./address.js";
import { trim, valuesOf } from "./lines.js";
import { Mistakes } from "./mistakes.js";
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
  readonly #trusted: Network[] = [];
  readonly #header: string;

  /** Throws a TypeError that names every mistake. */
  constructor(options: ProxiesOptions) {
    const wrong = new Mistakes();
    this.#header = (options.header ?? "X-Forwarded-For").toLowerCase();
    wrong.must(this.#header !== "forwarded" && /^[!#$%&'*+.^_`|~0-9a-z-]{1,64}$/.test(this.#header), "header", "one such as X-Forwarded-For; Forwarded is not read", options.header);
    wrong.must(options.trusted.length, "trusted", "the proxies, such as 10.0.0.0/8, or leave proxies out", []);
    for (const text of options.trusted) {
      const bits = bitsOf(text);
      const net = bits ? ([bits, 8 * bits.length] as Network) : parseNetwork(text);
      wrong.must(net?.[1], "trusted", "a network, such as 10.0.0.0/8, that is not everybody", text);
      this.#trusted.push(net!);
    }
    wrong.end();
  }

  /**
   * The canonical address of the client: the peer that is no proxy, or what the proxies say.
   * null where they say nothing, or something that is no address: never what stands left of it.
   */
  client(peer: string | null | undefined, headers: HeaderLine[]): string | null {
    if (!this.#trusts(peer)) return canonical(peer);
    const lines = valuesOf(headers, this.#header);
    if (this.#header !== "x-forwarded-for") return lines.length === 1 ? single(this.#header, lines[0]!) : null;
    let internal: string | null = null;
    let n = 0;
    for (const line of lines.reverse()) {
      for (let end = line.length; end >= 0; ) {
        const from = end ? line.lastIndexOf(",", end - 1) + 1 : 0; // lastIndexOf reads -1 as 0
        if (++n > MAX_ELEMENTS || end - from > MAX_ELEMENT) return null;
        const text = node(trim(line.slice(from, end)));
        const address = canonical(text);
        if (address === null) return null;
        if (!this.#trusts(text)) return address;
        internal = address;
        end = from - 1;
      }
    }
    return internal; // all are proxies: it comes from within; or there was no header
  }

  // Of bits as they came: an IPv4 address inside of 6to4 is chosen by whoever sends from it.
  #trusts(address: string | null | undefined): boolean {
    const bits = bitsOf(address ?? "");
    return !!bits && this.#trusted.some((net) => within(bits, net));
  }
}

/** The client of a request: the peer, or what proxies say. */
export function clientOf(peer: string | null | undefined, headers: HeaderLine[], proxies?: Proxies): string | null {
  return proxies ? proxies.client(peer, headers) : canonical(peer);
}

/** The bytes of an address; an IPv4-mapped one is the IPv4 one. */
function bitsOf(text: string): Uint8Array | null {
  const b = parse(text);
  return b && unmap(b);
}

/** An element without brackets and port; null for one that is none. */
function node(s: string): string | null {
  const [, six, four, port] = /^(?:\[([^\]]*:[^\]]*)\]|([0-9.]+)(?=:))(?::([0-9]{1,5}))?$/.exec(s) ?? [];
  return +(port ?? 0) > 65535 ? null : six ?? four ?? s;
}

/** The one address of a header that a proxy overwrites. */
function single(header: string, line: string): string | null {
  if (line.length > MAX_ELEMENT) return null;
  line = trim(line);
  // CloudFront's is always with a port, and IPv6 without brackets.
  const viewer = header === "cloudfront-viewer-address" && line[0] !== "[";
  const cut = /^(.+):([0-9]{1,5})$/.exec(line);
  return canonical(!viewer ? node(line) : cut && +cut[2]! <= 65535 ? cut[1] : null);
}
