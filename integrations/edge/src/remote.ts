// Remote asks /v1/decide of an ipwarden, and keeps what it says for as long as it holds.
import { Breaker } from "./breaker.js";
import { decode, encode, Recent, type Kept, type Store } from "./cache.js";
import type { Answer } from "./answer.js";
import { ask, question, type Asking } from "./question.js";
import { base64url, inTime, utf8 } from "./lines.js";
import { Mistakes } from "./mistakes.js";
import { Refuse } from "./refuse.js";
import { bucketIn, buckets, covers, Shape } from "./shape.js";
import type { Context, Decider, Facts, FullRoute, Verdict } from "./types.js";

/** Where ipwarden is, and how it is asked. */
export interface RemoteOptions {
  /** The base of its addresses, such as https://ipwarden.example.org. */
  url: string;
  /** The service token, or a key of an account with the scope decide. */
  token: string;
  /** Where answers are kept beside this isolate's memory: kvStore, cacheStore. Default: nowhere. */
  store?: Store;
  /** Answers that this isolate remembers, some 1 KiB each. Default: 1000. */
  remember?: number;
  /** Default: the platform's fetch. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since 1970. Default: Date.now. */
  now?: () => number;
}

/** What a Remote has done since it was made. */
export interface Stats {
  /** Questions, and those that failed or came after their budget. */
  asked: number;
  failed: number;
  /** Requests answered by what was kept, and of those the ones after the lease. */
  kept: number;
  stale: number;
  /** Requests that were not asked about because the breaker is open. */
  left: number;
  /** Values of the store that were no answers, and its failures. */
  junk: number;
  storeFailed: number;
}

/** A place in which an answer may be. */
interface Place {
  bucket: string;
  text: string;
}

/** Milliseconds for which an answer that held for its request alone is taken to be the rule. */
const loneFor = 10_000;

/** Asks an ipwarden over its API. Make one per isolate. Safe for requests at the same time. */
export class Remote implements Decider {
  readonly stats: Stats = { asked: 0, failed: 0, kept: 0, stale: 0, left: 0, junk: 0, storeFailed: 0 };
  readonly #asking: Asking;
  readonly #store: Store | undefined;
  readonly #now: () => number;
  readonly #memory: Recent<Kept>;
  readonly #lone = new Recent<number>(1000);
  readonly #flights = new Map<string, { answer: Promise<Answer>; until: number }>();
  readonly #breaker = new Breaker();
  #shape: Shape | null = null;
  #shapeAsked = -Infinity;

  /** Throws a TypeError that names every mistake of the options. */
  constructor(options: RemoteOptions) {
    const wrong = new Mistakes();
    let url = "";
    try {
      url = new URL(options.url).href;
    } catch {}
    wrong.must(/^https?:[^?#]+$/.test(url), "url", "ipwarden's base without a query, such as https://ipwarden.example.org", options.url);
    wrong.must(/^[!-~]{1,1024}$/.test(options.token ?? ""), "token", "the service token, or a key with the scope decide");
    wrong.end();
    this.#asking = { url: url.replace(/\/*$/, "/v1/decide"), token: options.token, fetch: options.fetch ?? ((u, i) => fetch(u, i)) };
    this.#store = options.store;
    this.#now = options.now ?? Date.now;
    this.#memory = new Recent(options.remember ?? 1000);
  }

  /** Whether ipwarden is left alone for a while, because it does not answer in time. */
  get broken(): boolean {
    return this.#breaker.open;
  }

  async decide(facts: Facts, context: Context, route: FullRoute): Promise<Verdict> {
    const places = await this.#places(facts, route);
    // Also where the first passes: this is not the first, and none of them would ever wait.
    if (places === "lone") return (await this.#ask(facts, context, route)).verdict;
    const kept = places && (await this.#find(facts, places, route));
    if (kept) {
      const now = this.#now();
      this.stats.kept++;
      if (now >= kept.made + 1000 * kept.lease!.seconds) {
        this.stats.stale++;
        void this.#flight(facts, places, context, route);
      }
      return aged(kept, now);
    }
    if (route.first === "pass") {
      void this.#flight(facts, places, context, route);
      throw new Error("it is asked about behind the request");
    }
    const shape = this.#shape?.text;
    const flight = this.#flight(facts, places, context, route);
    const { verdict, lease } = await flight.answer;
    // What holds for one request alone, or depends on more than was known, is nothing for
    // those who only waited with it.
    if (flight.mine || (lease && lease.seconds > 0 && (places === null || JSON.stringify(lease.reads) === shape))) return verdict;
    return (await this.#ask(facts, context, route)).verdict;
  }

  /** Where an answer for a request may be; null: what it depends on is not known yet; "lone": nowhere, it is for one request. */
  async #places(facts: Facts, route: FullRoute): Promise<Place[] | "lone" | null> {
    const now = this.#now();
    if (!this.#shape && this.#store && now - this.#shapeAsked > loneFor) {
      this.#shapeAsked = now;
      const key = await this.#key("shape");
      const [value = null] = await this.#get([key], route);
      if (value !== null && !this.#shape) {
        try {
          const { v, reads } = JSON.parse(value) as Record<string, unknown>;
          if (value.length <= 65536 && v === 1 && Array.isArray(reads)) this.#shape = Shape.of(reads);
        } catch {}
        if (!this.#shape) this.stats.junk++;
      }
    }
    const shape = this.#shape;
    if (!shape) return null;
    const places = placesOf(shape, facts, buckets(facts.address!));
    return now < (this.#lone.get(places[0]!.text) ?? 0) ? "lone" : places;
  }

  /** An answer that is kept and holds, or is better than none. */
  async #find(facts: Facts, places: Place[], route: FullRoute): Promise<Kept | undefined> {
    const now = this.#now();
    const good = (k: Kept | null | undefined, p: Place): k is Kept =>
      !!k && now < k.made + 1000 * (k.lease!.seconds + k.lease!.stale) && covers(k.verdict.network, facts.address!, p.bucket);
    for (const p of places) {
      const k = this.#memory.get(p.text);
      if (good(k, p)) return k;
    }
    if (!this.#store) return undefined;
    const keys = await Promise.all(places.map((p) => this.#key(p.text)));
    const values = await this.#get(keys, route);
    for (const [i, p] of places.entries()) {
      const value = values[i] ?? null;
      const k = value === null ? null : decode(keys[i]!, value, now);
      if (value !== null && !k) this.stats.junk++;
      if (!good(k, p)) continue;
      this.#memory.set(p.text, k);
      return k;
    }
    return undefined;
  }

  /** A question that others wait for, too, who ask the same. */
  #flight(facts: Facts, places: Place[] | null, context: Context, route: FullRoute): { answer: Promise<Answer>; mine: boolean } {
    const key = flightKey(facts, places);
    const now = this.#now();
    const running = this.#flights.get(key);
    if (running && now < running.until) return { answer: running.answer, mine: false };
    const answer = this.#ask(facts, context, route);
    // It goes on when its own request has been answered, or is gone.
    const flight = { answer, until: now + 4000 };
    this.#flights.set(key, flight);
    context.waitUntil(answer.catch(() => {}).then(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    }));
    return { answer, mine: true };
  }

  /** Asks, and keeps the answer. */
  async #ask(facts: Facts, context: Context, route: FullRoute): Promise<Answer> {
    const body = question(facts);
    const began = this.#now();
    if (!this.#breaker.may(began)) {
      this.stats.left++;
      throw new Error("ipwarden is left alone for a while");
    }
    this.stats.asked++;
    let told = false;
    const tell = (ok: boolean) => {
      if (told) return;
      told = true;
      if (!ok) this.stats.failed++;
      this.#breaker.done(ok, this.#now());
    };
    const slow = setTimeout(() => tell(false), route.budget); // also when it is answered later
    const asked = ask(this.#asking, body, route.budget);
    context.waitUntil(asked.catch(() => {}));
    let got;
    try {
      got = await asked;
    } catch (e) {
      tell(e instanceof Refuse); // nobody opens the breaker with what is refused
      throw e;
    } finally {
      clearTimeout(slow);
    }
    tell(true);
    this.#keep(facts, got.answer, got.text, context, began);
    return got.answer;
  }

  #keep(facts: Facts, answer: Answer, text: string, context: Context, made: number): void {
    const lease = answer.lease;
    if (!lease || lease.seconds === 0) {
      const shape = this.#shape;
      if (shape) this.#lone.set(placesOf(shape, facts, buckets(facts.address!))[0]!.text, made + loneFor);
      return;
    }
    const shape = Shape.of(lease.reads);
    if (!shape) return;
    if (shape.text !== this.#shape?.text) {
      this.#shape = shape;
      this.#put(context, "shape", () => JSON.stringify({ v: 1, reads: shape.reads }), 86400);
    }
    const place = placesOf(shape, facts, [bucketIn(facts.address!, answer.verdict.network)])[0]!.text;
    this.#memory.set(place, { ...answer, made });
    this.#put(context, place, (key) => encode(key, made, text), lease.seconds + lease.stale);
  }

  /** Reads of the store, for at most half of the budget: the question needs the rest. */
  async #get(keys: string[], route: FullRoute): Promise<(string | null)[]> {
    try {
      return await inTime(this.#store!.get(keys), route.budget / 2);
    } catch {
      this.stats.storeFailed++;
      return [];
    }
  }

  /** Writes behind the request. */
  #put(context: Context, text: string, value: (key: string) => string | null, seconds: number): void {
    const store = this.#store;
    if (!store) return;
    context.waitUntil((async () => {
      try {
        const key = await this.#key(text);
        const v = value(key);
        if (v !== null) await store.put(key, v, seconds);
      } catch {
        this.stats.storeFailed++;
      }
    })());
  }

  /** The key of a text, of this server. */
  async #key(text: string): Promise<string> {
    return "ipwarden1:" + base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(`${this.#asking.url}\n${text}`))));
  }
}

/** Where in some buckets an answer for a request is. */
function placesOf(shape: Shape, facts: Facts, all: string[]): Place[] {
  const values = shape.values(facts);
  return all.map((bucket) => ({ bucket, text: `${shape.text}\n${bucket}\n${values}` }));
}

/** What questions agree in of which one is enough. */
function flightKey(facts: Facts, places: Place[] | null): string {
  return places ? places[0]!.text : JSON.stringify(facts);
}

/** An answer as it is now: whoever waits waits for less. */
function aged(k: Kept, now: number): Verdict {
  const age = Math.max(0, Math.floor((now - k.made) / 1000));
  const v = k.verdict;
  return {
    ...v,
    retryAfter: v.retryAfter && Math.max(1, v.retryAfter - age),
    limits: (v.limits ?? []).map((l) => ({ ...l, reset: Math.max(0, l.reset - age) })),
  };
}
