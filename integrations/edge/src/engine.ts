// The policy engine in WebAssembly (internal/edge/engine of ipwarden): its memory, and
// the little of WASI that it wants. It reads no files and opens no sockets.
import { Refuse } from "./refuse.js";
import type { Facts, LimitState, Verdict, VerdictName } from "./types.js";

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  reserve(n: number): number;
  load(millis: bigint, seed0: bigint, seed1: bigint): number;
  request(): number;
  requestSize(): number;
  decide(n: number): number;
  output(): number;
  reads(): number;
  date(): bigint;
}

/** What a request is decided with beside its facts. */
export interface Asked {
  /** Milliseconds since 1970. */
  now: number;
  /** A random number of 32 bits, for rules that apply to a share. */
  sample: number;
  /** The highest score for which a clearance of the client holds, 0 to 100; -1: there is none. */
  cleared: number;
  /** Whether limits are charged here, in the engine's memory. */
  charge: boolean;
}

const verdicts: readonly (VerdictName | "")[] = ["", "allow", "flag", "throttle", "challenge", "step_up", "block"];
const reasons = [
  "", "operator_entry", "ban", "operator_asn", "operator_country", "crawler", "crawler_pending", "rule", "threshold", "tier",
  "default", "clearance", "limit", "unresolved", "bogon", "fail_open", "fail_closed", "fail_safe", "ambiguous_path",
];
const traits = [
  "vpn", "proxy", "residential_proxy", "tor", "relay", "hosting", "crawler", "attacker", "abuser", "scanner", "bogon", "anycast",
  "satellite", "mobile",
];

/** What the first byte of a verdict says whose redirect, with the request's query in it, is longer than any client takes. */
const TOO_LONG = 3;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** An engine with its program and its dataset. Not for several requests at once: decide does not wait for anything. */
export class Engine {
  readonly #e: Exports;
  readonly #request: number;
  readonly #size: number;
  readonly #reads = new Map<string, string>();
  #bytes!: Uint8Array;
  #view!: DataView;
  #at = 0;
  /** The day of the data, such as 2026-11-20. */
  readonly date: string;

  /** Throws an Error that says what is wrong with the program or the dataset. dataset may come in chunks. */
  constructor(module: WebAssembly.Module, program: Uint8Array, dataset: Uint8Array[], now: number) {
    const imports = wasi(() => this.#memory());
    const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: imports });
    this.#e = instance.exports as unknown as Exports;
    this.#e._initialize();
    this.#put([program]);
    this.#put(dataset);
    const seed = crypto.getRandomValues(new BigInt64Array(2));
    const wrong = this.#e.load(BigInt(Math.floor(now)), seed[0]!, seed[1]!);
    if (wrong > 0) throw new Error(`ipwarden: ${this.#said(wrong)}`);
    this.#request = this.#e.request();
    this.#size = this.#e.requestSize();
    for (const name of this.#said(this.#e.reads()).split("\n")) if (name) this.#reads.set(name.toLowerCase(), name);
    this.date = new Date(Number(this.#e.date()) * 1000).toISOString().slice(0, 10);
  }

  #memory(): Uint8Array {
    // Memory that grows is another buffer.
    if (!this.#bytes || this.#bytes.buffer !== this.#e.memory.buffer) {
      this.#bytes = new Uint8Array(this.#e.memory.buffer);
      this.#view = new DataView(this.#e.memory.buffer);
    }
    return this.#bytes;
  }

  #put(chunks: Uint8Array[]): void {
    let at = this.#e.reserve(chunks.reduce((n, c) => n + c.length, 0)) >>> 0;
    if (at === 0) throw new Error("ipwarden: the engine takes no part of that size");
    for (const c of chunks) {
      this.#memory().set(c, at);
      at += c.length;
    }
  }

  #said(n: number): string {
    const at = this.#e.output() >>> 0;
    return decoder.decode(this.#memory().subarray(at, at + n));
  }

  /** Decides. Throws Refuse for a request that is too long to be judged, and an Error when the engine fails. */
  decide(facts: Facts, asked: Asked): Verdict {
    this.#memory();
    const v = this.#view, start = this.#request;
    v.setUint32(start, 1 | (asked.charge ? 1 << 8 : 0) | ((asked.cleared + 1) << 16), true);
    v.setUint32(start + 4, asked.sample, true);
    const ms = Math.max(0, Math.floor(asked.now));
    v.setUint32(start + 8, ms % 0x100000000, true);
    v.setUint32(start + 12, Math.floor(ms / 0x100000000), true);
    this.#at = start + 16;
    this.#text(facts.address ?? "");
    this.#text(facts.method);
    this.#text(facts.scheme);
    this.#text(facts.host);
    this.#text(facts.path);
    let count = this.#at, n = 0;
    this.#at += 2;
    for (const [name, value] of facts.headers) {
      const wanted = this.#reads.get(name) ?? this.#reads.get(name.toLowerCase());
      if (wanted === undefined) continue;
      this.#text(wanted);
      this.#text(value, true);
      n++;
    }
    v.setUint16(count, n, true);
    count = this.#at;
    n = 0;
    this.#room(2);
    this.#at += 2;
    for (const key in facts.account) {
      this.#text(key);
      this.#text(facts.account[key]!);
      n++;
    }
    v.setUint16(count, n, true);
    return this.#verdict(this.#e.decide(this.#at - start));
  }

  #room(n: number): void {
    if (this.#at + n > this.#request + this.#size) throw new Refuse(431, "too_large");
  }

  /** Writes a text. That of a header line is bytes, unless the platform has made characters of them. */
  #text(s: string, line = false): void {
    const b = this.#bytes, from = this.#at + 2;
    this.#room(2 + s.length);
    let i = 0;
    for (; i < s.length; i++) {
      const c = s.charCodeAt(i);
      if (c > 127) break;
      b[from + i] = c;
    }
    let n = i;
    if (i < s.length) {
      const bytes = line && /^[\0-\xff]*$/.test(s) ? Uint8Array.from(s, (c) => c.charCodeAt(0)) : encoder.encode(s);
      this.#room(2 + bytes.length);
      b.set(bytes, from);
      n = bytes.length;
    }
    if (n > 0xffff) throw new Refuse(431, "too_large");
    this.#view.setUint16(this.#at, n, true);
    this.#at = from + n;
  }

  #verdict(n: number): Verdict {
    const at = this.#e.output() >>> 0;
    this.#memory();
    const v = this.#view;
    if (n === 1 && v.getUint8(at) === TOO_LONG) throw new Refuse(431, "too_large");
    if (n < 24 || v.getUint8(at) !== 0) throw new Error("ipwarden: the engine could not read the request");
    this.#at = at + 24;
    const flags = v.getUint8(at + 3), told = v.getUint8(at + 7), bits = v.getUint32(at + 8, true);
    const name = verdicts[v.getUint8(at + 1)];
    if (!name) throw new Error("ipwarden: the engine gave no verdict");
    const names: string[] = [];
    for (let i = 0; i < traits.length; i++) if (bits & (1 << i)) names.push(traits[i]!);
    const by = this.#take(), tier = this.#take(), location = this.#take();
    this.#take();
    const tags = this.#take();
    const limits: LimitState[] = [];
    for (let i = v.getUint8(at + 19); i > 0; i--) {
      const limit = this.#take(), p = this.#at;
      limits.push({
        name: limit, limit: v.getUint32(p, true), remaining: v.getUint32(p + 4, true), window: v.getUint32(p + 8, true),
        reset: v.getUint32(p + 12, true), allowed: v.getUint8(p + 16) === 1,
      });
      this.#at += 17;
    }
    const land = v.getUint16(at + 16);
    return {
      verdict: name, passes: (flags & 1) !== 0, status: v.getUint16(at + 4, true), retryAfter: v.getUint32(at + 20, true), location,
      reason: reasons[v.getUint8(at + 2)] ?? "", by, tier, decision: "",
      country: land ? String.fromCharCode(land >> 8, land & 255) : "", asn: v.getUint32(at + 12, true), traits: names,
      risk: told & 8 ? v.getUint8(at + 6) : 0, tags: tags ? tags.split(",") : [], degraded: false, limits,
    };
  }

  #take(): string {
    const n = this.#view.getUint16(this.#at, true), from = this.#at + 2;
    this.#at = from + n;
    if (n === 0) return "";
    if (n < 40) {
      let s = "";
      for (let i = from; i < this.#at; i++) {
        const c = this.#bytes[i]!;
        if (c > 127) return decoder.decode(this.#bytes.subarray(from, this.#at));
        s += String.fromCharCode(c);
      }
      return s;
    }
    return decoder.decode(this.#bytes.subarray(from, this.#at));
  }
}

/** What a Go program of wasip1 asks its host for. Anything else fails when it is instantiated. */
function wasi(memory: () => Uint8Array): Record<string, (...args: never[]) => number> {
  // A small heap: what decisions leave behind is little, and an isolate has 128 MB.
  const environ = encoder.encode("GOGC=50\0");
  let said = ""; // what the runtime says before it dies
  const u32 = (at: number, n: number) => new DataView(memory().buffer).setUint32(at, n, true);
  return {
    args_sizes_get: (a: number, b: number) => (u32(a, 0), u32(b, 0), 0),
    args_get: () => 0,
    environ_sizes_get: (a: number, b: number) => (u32(a, 1), u32(b, environ.length), 0),
    environ_get: (list: number, text: number) => (u32(list, text), memory().set(environ, text), 0),
    random_get: (at: number, n: number) => {
      for (let i = 0; i < n; i += 65536) crypto.getRandomValues(memory().subarray(at + i, at + Math.min(n, i + 65536)) as Uint8Array<ArrayBuffer>);
      return 0;
    },
    clock_time_get: (_id: number, _precision: bigint, at: number) => {
      new DataView(memory().buffer).setBigUint64(at, BigInt(Date.now()) * 1000000n, true);
      return 0;
    },
    fd_write: (_fd: number, list: number, count: number, out: number) => {
      const v = new DataView(memory().buffer);
      let n = 0;
      for (let i = 0; i < count; i++) {
        const at = v.getUint32(list + 8 * i, true), len = v.getUint32(list + 8 * i + 4, true);
        if (said.length < 2000) said += decoder.decode(memory().subarray(at, at + len));
        n += len;
      }
      u32(out, n);
      return 0;
    },
    sched_yield: () => 0,
    poll_oneoff: (subscriptions: number, events: number, count: number, out: number) => {
      // Only clocks are waited for, and nobody waits here: the first has come.
      const m = memory();
      for (let i = 0; i < count; i++) {
        const at = subscriptions + 48 * i;
        if (m[at + 8] !== 0) continue;
        m.fill(0, events, events + 32);
        m.copyWithin(events, at, at + 8);
        u32(out, 1);
        return 0;
      }
      u32(out, 0);
      return 0;
    },
    fd_prestat_get: () => 8, // EBADF
    fd_prestat_dir_name: () => 8,
    fd_fdstat_get: () => 8,
    fd_fdstat_set_flags: () => 8,
    proc_exit: (code: number) => {
      throw new Error(`ipwarden: the engine ended with ${code}: ${said.slice(0, 2000)}`);
    },
  };
}
