// The challenge and the clearance of package gate/challenge, byte for byte, with
// WebCrypto: an edge checks cookies that a gate has signed, and makes tickets that a
// gate takes.
import { parse } from "./address.js";
import type { Challenges } from "./gate.js";
import { base64url, cookiesOf, halves } from "./lines.js";
import { Mistakes } from "./mistakes.js";
import type { Facts } from "./types.js";

/** Options of Clearances. All but the key are those of the gate, and default to its defaults. */
export interface ClearanceOptions {
  /**
   * What signs, the same as the gate's --challenge-key-file: 64 or more hexadecimal digits,
   * or at least 32 bytes. Keep it where the platform keeps secrets. It is in no error and no log.
   */
  key: string | Uint8Array;
  /** Where the page is. Default "/.ipwarden/challenge". */
  path?: string;
  /** The name of the cookie. Default "ipwarden_clearance". */
  cookie?: string;
  /** The clock, in milliseconds. Default Date.now. */
  now?: () => number;
}

/** A Clearance is what a cookie says. */
export interface Clearance {
  /** Unix seconds. */
  issued: number;
  expires: number;
  /** The highest risk for which it holds. */
  ceiling: number;
  /** The nine bytes of a network: 4 or 6, and its first 24 or 64 bits. */
  network: Uint8Array;
}

/** A Ticket is what a client is sent to the page with. */
export interface Ticket {
  /** 16 bytes, spent when it is solved. */
  id: Uint8Array;
  /** Milliseconds. */
  issued: number;
  network: Uint8Array;
  /** 0 to 100. */
  risk: number;
  /** The page waits for a click, so that nobody goes round and round. */
  again: boolean;
  fallback: boolean;
}

// What is signed begins with what it is; the number is that of the layout too.
const TICKET = 0x11;
const CLEARANCE = 0x21;
const TICKET_SIZE = 36;
const CLEARANCE_SIZE = 35;
const TAG = 16; // half an HMAC-SHA256 (RFC 2104 section 5)
const NETWORK = 9;
const MAX_COOKIES = 16; // of the name, as the gate takes; a browser sends one, or two
const MAX_TO = 2 << 10; // bytes of the place to return to

/**
 * Clearances check and make what the challenge's page is about. A gate that has them tells its
 * decider who has a clearance, and sends who is challenged to the page, with a ticket:
 *
 *     const clearances = new Clearances({ key: env.IPWARDEN_CHALLENGE_KEY });
 *     const gate = new Gate({ decider: new Local({ … }), clearances });
 *
 * The page itself is an ipwarden's with the same key. A Remote needs none of this: its
 * ipwarden reads the cookie and makes the ticket. It refuses to clear an address, as the gate
 * does: a clearance is its cookie's, in a network, up to a risk.
 */
export class Clearances implements Challenges {
  /** Where the page is. */
  readonly path: string;
  readonly #cookie: string;
  readonly #raw: BufferSource;
  readonly #now: () => number;
  #key: CryptoKey | undefined;

  /** Throws a TypeError that names every mistake, and never the key. */
  constructor(options: ClearanceOptions) {
    const { path = "/.ipwarden/challenge", cookie = "ipwarden_clearance", now = Date.now } = options;
    const wrong = new Mistakes();
    const key = typeof options.key === "string" ? unhex(options.key.trim()) : options.key?.slice();
    wrong.must(key && key.length > 31, "key", "64 hexadecimal digits or 32 bytes, such as of: openssl rand -hex 32");
    wrong.must(path.length > 1 && safeTo(path, "") === path && !/[?#%"'<>;]/.test(path), "path", "one such as /.ipwarden/challenge", path);
    wrong.must(/^[\w.~-]+$/.test(cookie), "cookie", "a name such as ipwarden_clearance", cookie);
    wrong.end();
    this.path = path;
    this.#cookie = cookie;
    this.#raw = key as BufferSource;
    this.#now = now;
  }

  /**
   * The highest risk up to which a clearance holds that a request brings, for its address's
   * network, now; -1: it brings none, or its address is not known. It does not throw for
   * anything that a client sends.
   */
  async ceiling(facts: Facts): Promise<number> {
    const net = networkOf(facts.address);
    const all = net[0] ? await this.#clearances(facts) : [];
    return Math.max(-1, ...all.filter((c) => this.#now() < 1000 * c.expires && same(net, c.network)).map((c) => c.ceiling));
  }

  /** Where to send a client that is to prove itself: the page, a ticket of its own, and where it wanted to go. */
  async location(facts: Facts, risk: number): Promise<string> {
    const now = this.#now();
    // Who was cleared just now and is challenged again would otherwise go round and
    // round: its network changes, or its risk does.
    const again = (await this.#clearances(facts)).some((c) => Math.floor(now / 1000) - c.issued < 60);
    const t = await this.sealTicket({
      id: crypto.getRandomValues(new Uint8Array(16)), issued: now, network: networkOf(facts.address),
      risk: Math.max(0, Math.min(100, Math.round(risk) || 0)), again, fallback: false,
    });
    return `${this.path}?t=${t}&to=${encodeURIComponent(safeTo(escapeTo(facts.path), this.path)).replaceAll("%2F", "/")}`;
  }

  async #clearances(facts: Facts): Promise<Clearance[]> {
    const start = this.#cookie + "=";
    const texts = cookiesOf(facts.headers).filter((c) => c.startsWith(start)).slice(0, MAX_COOKIES);
    const found = await Promise.all(texts.map((c) => this.openClearance(c.slice(start.length))));
    return found.filter((c) => c !== undefined);
  }

  /** The text of a ticket, 70 characters of base64url. */
  async sealTicket(t: Ticket): Promise<string> {
    const b = new Uint8Array(TICKET_SIZE + TAG);
    b[0] = TICKET;
    b[1] = +t.again | (+t.fallback << 1);
    b.set(t.id.subarray(0, 16), 2);
    new DataView(b.buffer).setBigInt64(18, BigInt(Math.floor(t.issued)));
    b.set(t.network.subarray(0, NETWORK), 26);
    b[35] = t.risk;
    b.set(await this.#tag(b.slice(0, TICKET_SIZE)), TICKET_SIZE);
    return base64url(b);
  }

  /** What a cookie's text says, undefined for one that nobody with this key has signed. Whether it holds the caller decides. */
  async openClearance(text: string): Promise<Clearance | undefined> {
    const b = bytesOf(text, CLEARANCE_SIZE + TAG);
    if (b?.[0] !== CLEARANCE || !same(await this.#tag(b.slice(0, CLEARANCE_SIZE)), b.subarray(CLEARANCE_SIZE))) return undefined;
    const time = (at: number) => Number(new DataView(b.buffer).getBigInt64(at));
    return { issued: time(1), expires: time(9), network: b.slice(17, 17 + NETWORK), ceiling: b[26]! };
  }

  async #tag(body: BufferSource): Promise<Uint8Array> {
    // Not the promise is kept: one of another request's may not be waited for in a Worker.
    this.#key ??= await crypto.subtle.importKey("raw", this.#raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign("HMAC", this.#key, body), 0, TAG);
  }
}

/** The network that tickets and clearances of an address are bound to, nine bytes; zeros for none. */
export function networkOf(address: string | null): Uint8Array {
  const b = parse(address ?? "");
  const net = new Uint8Array(NETWORK);
  if (b) net.set(b.length === 4 ? [4, ...b.subarray(0, 3)] : [6, ...b.subarray(0, 8)]);
  return net;
}

/**
 * Where to send a client that has proven itself, as the gate's page judges it: a path of this
 * very site. Browsers take "//host", "/\host" and, because they drop tabs and line breaks,
 * "/<tab>/host" for other sites (WHATWG URL, section 4.4).
 */
export function safeTo(to: string, page: string): string {
  return to.length > MAX_TO || !/^\/(?!\/)[!-[\]-~]*$/.test(to) || halves(to)[0] === page ? "/" : to;
}

/** A raw path with what no URL may hold escaped; a fragment never leaves a browser. */
function escapeTo(path: string): string {
  return path.length > MAX_TO ? "/" : path.replace(/\p{Cs}/gu, "").replace(/[^!"$-[\]-~]+/g, encodeURIComponent);
}

/** In constant time: how far a forgery is right says nothing. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  let differs = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) differs |= a[i]! ^ b[i]!;
  return differs === 0;
}

function unhex(text: string): Uint8Array | undefined {
  return /^([\da-f]{2})+$/i.test(text) ? Uint8Array.from(text.match(/../g)!, (two) => parseInt(two, 16)) : undefined;
}

/** The bytes of base64url, so many. Strict: of the texts that mean the same bytes one is accepted. */
function bytesOf(text: string, size: number): Uint8Array<ArrayBuffer> | undefined {
  if (text.length !== Math.ceil((size * 4) / 3) || !/^[\w-]+$/.test(text)) return undefined;
  const out = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  return base64url(out) === text ? out : undefined;
}
