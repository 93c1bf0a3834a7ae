// The challenge and the clearance of package gate/challenge, byte for byte, with
// WebCrypto: an edge checks cookies that a gate has signed, and makes tickets that a
// gate takes.
import { parse } from "./address.js";
import type { Challenges } from "./gate.js";
import { trim } from "./headers.js";
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
const MAX_COOKIES = 4; // of the name; a browser sends one, or two
const MAX_TO = 2 << 10; // bytes of the place to return to
const NONE = new Uint8Array(NETWORK);

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
  readonly #raw: Uint8Array;
  readonly #now: () => number;
  #key: CryptoKey | undefined;

  /** Throws an Error that names every mistake, and never the key. */
  constructor(options: ClearanceOptions) {
    const bad: string[] = [];
    const key = typeof options.key === "string" ? unhex(options.key.trim()) : options.key?.slice();
    if (!key || key.length < 32) bad.push("key is not 64 hexadecimal digits or 32 bytes; make one with: openssl rand -hex 32");
    this.path = options.path ?? "/.ipwarden/challenge";
    if (this.path.length < 2 || safeTo(this.path, "") !== this.path || /[?#%"'<>;]/.test(this.path)) bad.push("path is no path, such as /.ipwarden/challenge");
    this.#cookie = options.cookie ?? "ipwarden_clearance";
    if (!/^[A-Za-z0-9._~-]+$/.test(this.#cookie)) bad.push("cookie is no name of a cookie, such as ipwarden_clearance");
    if (bad.length > 0) throw new Error("clearance: " + bad.join("; "));
    this.#raw = key as Uint8Array;
    this.#now = options.now ?? Date.now;
  }

  /**
   * The highest risk up to which a clearance holds that a request brings, for its address's
   * network, now; -1: it brings none, or its address is not known. It does not throw for
   * anything that a client sends.
   */
  async ceiling(facts: Facts): Promise<number> {
    const net = networkOf(facts.address);
    const now = Math.floor(this.#now() / 1000);
    let most = -1;
    if (net[0] === 0) return most;
    for (const c of await this.#clearances(facts)) if (now < c.expires && same(net, c.network)) most = Math.max(most, c.ceiling);
    return most;
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
    const found: Clearance[] = [];
    for (const text of cookies(facts, this.#cookie)) {
      const c = await this.openClearance(text);
      if (c) found.push(c);
    }
    return found;
  }

  /** The text of a ticket, 70 characters of base64url. */
  async sealTicket(t: Ticket): Promise<string> {
    const b = new Uint8Array(TICKET_SIZE);
    const v = new DataView(b.buffer);
    b[0] = TICKET;
    b[1] = (t.again ? 1 : 0) | (t.fallback ? 2 : 0);
    b.set(t.id.subarray(0, 16), 2);
    v.setBigInt64(18, BigInt(Math.floor(t.issued)));
    b.set(t.network.subarray(0, NETWORK), 26);
    b[35] = t.risk;
    return this.#seal(b);
  }

  /** What a cookie's text says, undefined for one that nobody with this key has signed. Whether it holds the caller decides. */
  async openClearance(text: string): Promise<Clearance | undefined> {
    const b = await this.#open(CLEARANCE, CLEARANCE_SIZE, text);
    return b && { issued: time(b, 1), expires: time(b, 9), network: b.slice(17, 17 + NETWORK), ceiling: b[26] as number };
  }

  async #tag(body: Uint8Array): Promise<Uint8Array> {
    // Not the promise is kept: one of another request's may not be waited for in a Worker.
    this.#key ??= await crypto.subtle.importKey("raw", this.#raw as BufferSource, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign("HMAC", this.#key, body as BufferSource)).subarray(0, TAG);
  }

  async #seal(body: Uint8Array): Promise<string> {
    const whole = new Uint8Array(body.length + TAG);
    whole.set(body);
    whole.set(await this.#tag(body), body.length);
    return encode(whole);
  }

  async #open(kind: number, size: number, text: string): Promise<Uint8Array | undefined> {
    const raw = decode(text, size + TAG);
    if (!raw || raw[0] !== kind) return undefined;
    const body = raw.slice(0, size);
    return same(await this.#tag(body), raw.subarray(size)) ? body : undefined;
  }
}

/** The network that tickets and clearances of an address are bound to, nine bytes; zeros for none. */
export function networkOf(address: string | null): Uint8Array {
  const b = address === null ? null : parse(address);
  if (!b) return NONE;
  const net = new Uint8Array(NETWORK);
  net[0] = b.length === 4 ? 4 : 6;
  net.set(b.subarray(0, b.length === 4 ? 3 : 8), 1);
  return net;
}

/** The values of the cookies of a name, four at most. */
function cookies(facts: Facts, name: string): string[] {
  const found: string[] = [];
  for (const [field, line] of facts.headers) {
    if (field.toLowerCase() !== "cookie") continue;
    for (let at = 0; at < line.length && found.length < MAX_COOKIES; ) {
      let end = line.indexOf(";", at);
      if (end < 0) end = line.length;
      const pair = trim(line.slice(at, end));
      if (pair.startsWith(name) && pair[name.length] === "=") found.push(pair.slice(name.length + 1));
      at = end + 1;
    }
  }
  return found;
}

/**
 * Where to send a client that has proven itself, as the gate's page judges it: a path of this
 * very site. Browsers take "//host", "/\host" and, because they drop tabs and line breaks,
 * "/<tab>/host" for other sites (WHATWG URL, section 4.4).
 */
export function safeTo(to: string, page: string): string {
  if (to.length === 0 || to.length > MAX_TO || to[0] !== "/" || to[1] === "/" || !/^[\x21-\x5b\x5d-\x7e]*$/.test(to)) return "/";
  return to.split("?", 1)[0] === page ? "/" : to;
}

/** A raw path with what no URL may hold escaped; a fragment never leaves a browser. */
function escapeTo(path: string): string {
  if (path.length > MAX_TO) return "/";
  return path.replace(/\p{Cs}/gu, "").replace(/[^!"$-[\]-~]+/g, encodeURIComponent);
}

/** In constant time: how far a forgery is right says nothing. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  let differs = a.length ^ b.length;
  for (let i = 0; i < a.length && i < b.length; i++) differs |= (a[i] as number) ^ (b[i] as number);
  return differs === 0;
}

function time(b: Uint8Array, at: number): number {
  return Number(new DataView(b.buffer, b.byteOffset).getBigInt64(at));
}

function unhex(text: string): Uint8Array | undefined {
  return /^([\da-f]{2})+$/i.test(text) ? Uint8Array.from(text.match(/../g)!, (two) => parseInt(two, 16)) : undefined;
}

/** Base64url without padding (RFC 4648 section 5). */
function encode(b: Uint8Array): string {
  return btoa(String.fromCharCode(...b)).replace(/[+/=]/g, (c) => (c === "+" ? "-" : c === "/" ? "_" : ""));
}

/** Strict: of the texts that mean the same bytes one is accepted. */
function decode(text: string, size: number): Uint8Array | undefined {
  if (text.length !== Math.ceil((size * 4) / 3) || !/^[\w-]+$/.test(text)) return undefined;
  const out = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  return encode(out) === text ? out : undefined;
}
