// Where answers are kept: in the isolate, and in what a platform has beside it.
import { readAnswer, type Answer } from "./answer.js";

/**
 * A place that isolates share. Values are texts, checked when they are read: what
 * somebody else wrote, or another version, is a miss. A failure is one too.
 */
export interface Store {
  /** The values of a few keys, in their order; null: it is not there. */
  get(keys: string[]): Promise<(string | null)[]>;
  /** Keeps a value for so many seconds, or longer. */
  put(key: string, value: string, seconds: number): Promise<void>;
}

/** What is used of a KV namespace of Cloudflare. */
export interface KV {
  get(keys: string[]): Promise<Map<string, string | null>>;
  put(key: string, value: string, options: { expirationTtl: number }): Promise<void>;
}

/** Workers KV: shared by all locations, and up to a minute behind. It keeps nothing for less than a minute. */
export function kvStore(kv: KV): Store {
  return { get: async (keys) => { const all = await kv.get(keys); return keys.map((k) => all.get(k) ?? null); }, put: (key, value, seconds) => kv.put(key, value, { expirationTtl: Math.max(60, seconds) }) };
}

/** The Cache API: one location. On workers.dev it keeps nothing. */
export function cacheStore(cache: Cache): Store {
  const url = (key: string) => `https://ipwarden.invalid/${encodeURIComponent(key)}`;
  return {
    get: (keys) => Promise.all(keys.map(async (k) => (await cache.match(url(k)))?.text() ?? null)),
    put: (key, value, seconds) => cache.put(url(key), new Response(value, { headers: { "cache-control": `max-age=${seconds}` } })),
  };
}

/** An answer and when it was made, milliseconds since 1970. */
export interface Kept extends Answer {
  made: number;
}

/** The longest value that is written, and read, in characters. */
const maxValue = 16384;

/** How far clocks may be apart, milliseconds. */
const skew = 60_000;

/** Writes an answer under its key; null: it is too long. */
export function encode(key: string, made: number, body: string): string | null {
  const value = JSON.stringify({ v: 1, k: key, m: made, a: body });
  return value.length > maxValue ? null : value;
}

/** Reads one; null: it is not what encode has written under this key. */
export function decode(key: string, value: unknown, now: number): Kept | null {
  if (typeof value !== "string" || value.length > maxValue) return null;
  try {
    const o = JSON.parse(value) as Record<string, unknown>;
    if (o["v"] !== 1 || o["k"] !== key || typeof o["a"] !== "string" || typeof o["m"] !== "number" || !(o["m"] <= now + skew)) return null;
    const a = readAnswer(o["a"]);
    return a.lease && a.lease.seconds > 0 ? { ...a, made: o["m"] } : null;
  } catch {
    return null;
  }
}

/** A map that forgets what was used longest ago. */
export class Recent<V> {
  readonly #map = new Map<string, V>();

  constructor(readonly most: number) {}

  get(key: string): V | undefined {
    const v = this.#map.get(key);
    if (v !== undefined) {
      this.#map.delete(key);
      this.#map.set(key, v);
    }
    return v;
  }

  set(key: string, v: V): void {
    if (this.most < 1) return;
    this.#map.delete(key);
    if (this.#map.size >= this.most) this.#map.delete(this.#map.keys().next().value!);
    this.#map.set(key, v);
  }
}
