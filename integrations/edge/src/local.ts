// Local decides in the isolate itself: the policy engine in WebAssembly, with the program
// and the dataset that `ipwarden edge build` has made of a policy.
import { Engine } from "./engine.js";
import { loadKV, type KV } from "./kv.js";
import { inTime } from "./lines.js";
import type { Context, Decider, Facts, FullRoute, Verdict } from "./types.js";

/** What a Local is made of. */
export interface LocalOptions {
  /** engine.wasm, compiled: what importing it gives, or new WebAssembly.Module(bytes). */
  engine: WebAssembly.Module;
  /** program.bin. */
  program: ArrayBuffer | Uint8Array;
  /** dataset.bin, or the key-value store that the chunks were put into. */
  dataset: ArrayBuffer | Uint8Array | KV;
  /** What the datasets in the store must have, as edge build names it: one that was made for another policy is not taken. Default: any is. */
  needs?: string;
  /**
   * Who is asked about what the policy lets in, such as new Remote(…), and where nothing here
   * knows of clearances about what it challenges: what else it refuses is
   * refused at once, and no limit is counted here. Default: nobody; limits are counted in
   * the memory of this isolate, so that a client may have as much again in another.
   */
  then?: Decider;
  /** Whether limits are counted here, where nobody is asked. Default: true. */
  limits?: boolean;
  /** The highest score for which the client has a clearance, 0 to 100; -1: none. Default: what the gate's clearances say; without them nobody has one. */
  cleared?: (facts: Facts) => number | Promise<number>;
  /** Seconds until the store is asked for a newer dataset. Default: 300. */
  refresh?: number;
  /** Milliseconds since 1970. Default: Date.now. */
  now?: () => number;
}

/** Milliseconds until loading is tried again that has failed. */
const again = 10000;

/** Milliseconds for a loading; then another begins. */
const patience = 30000;

/** Runs the policy in the isolate. Make one per isolate. */
export class Local implements Decider {
  readonly #o: LocalOptions;
  #engine: Engine | undefined;
  #version = "";
  #loading: Promise<void> | undefined;
  #until = 0; // when a loading is given up
  #next = 0; // when the store is asked again
  #failed: unknown;

  /** Throws a TypeError that names every mistake of the options. */
  constructor(options: LocalOptions) {
    const wrong: string[] = [];
    // By its name: that of another realm, as Next.js has it, is one too.
    if (Object.prototype.toString.call(options.engine) !== "[object WebAssembly.Module]") wrong.push("engine is no WebAssembly.Module: import engine.wasm, or compile its bytes");
    if (!bytesOf(options.program)) wrong.push("program is no bytes: give those of program.bin");
    if (!bytesOf(options.dataset) && typeof (options.dataset as KV | undefined)?.get !== "function") wrong.push("dataset is neither bytes nor a key-value store: give those of dataset.bin, or the binding IPWARDEN_KV");
    if (options.refresh !== undefined && !(options.refresh >= 1)) wrong.push(`refresh is ${options.refresh}: give seconds, such as 300`);
    if (wrong.length > 0) throw new TypeError(`ipwarden: ${wrong.join("; ")}`);
    this.#o = options;
  }

  /** The day of the data, such as 2026-11-20; "": there is none yet. */
  get date(): string {
    return this.#engine?.date ?? "";
  }

  /**
   * Decides, at once when the data is there. It throws where it cannot; the gate then goes
   * by the route's fail mode.
   */
  decide(facts: Facts, context: Context, route: FullRoute): Verdict | Promise<Verdict> {
    const now = this.#now();
    const bytes = bytesOf(this.#o.dataset);
    if (!this.#engine && bytes) {
      if (this.#failed && now < this.#next) throw this.#failed;
      try {
        this.#engine = new Engine(this.#o.engine, bytesOf(this.#o.program)!, [bytes], now);
      } catch (e) {
        // What is bundled does not get better by itself; an isolate short of memory may.
        this.#failed = e;
        this.#next = now + again;
        throw e;
      }
    }
    if (!bytes && now >= this.#next) {
      // A store that never answers, or a request that was ended under its loading, is waited for no longer.
      if (!this.#loading || now >= this.#until) {
        this.#until = now + patience;
        const loading = (this.#loading = this.#load(now).finally(() => {
          if (this.#loading === loading) this.#loading = undefined;
        }));
      }
      context.waitUntil(this.#loading);
    }
    if (this.#engine) return this.#ask(this.#engine, facts, context, route, now);
    if (!this.#loading) throw this.#failed ?? new Error("ipwarden: there is no dataset");
    return this.#loading.then(() => {
      if (!this.#engine) throw this.#failed ?? new Error("ipwarden: there is no dataset");
      return this.#ask(this.#engine, facts, context, route, now);
    });
  }

  #ask(engine: Engine, facts: Facts, context: Context, route: FullRoute, now: number): Verdict | Promise<Verdict> {
    const cleared = (this.#o.cleared ?? context.cleared)?.(facts) ?? -1;
    if (typeof cleared !== "number") return cleared.then((c) => this.#decide(engine, facts, context, route, now, c));
    return this.#decide(engine, facts, context, route, now, cleared);
  }

  #decide(engine: Engine, facts: Facts, context: Context, route: FullRoute, now: number, cleared: number): Verdict | Promise<Verdict> {
    let v: Verdict;
    try {
      v = engine.decide(facts, { now, sample: Math.floor(Math.random() * 0x100000000), cleared: Math.min(100, Math.max(-1, Math.floor(cleared))), charge: !this.#o.then && this.#o.limits !== false });
    } catch (e) {
      // An engine that has failed is not asked again: after ten seconds of the fail mode another is made.
      if (e instanceof WebAssembly.RuntimeError || (e instanceof Error && e.message.startsWith("ipwarden: the engine ended"))) {
        this.#engine = undefined;
        this.#version = "";
        this.#failed = e;
        this.#next = now + again;
      }
      throw e;
    }
    const { then } = this.#o;
    if (v.passes && then) return then.decide(facts, context, route);
    // Where nothing here knows of clearances, who is challenged has to get to whom knows; a
    // failure is no clearance.
    if (v.verdict === "challenge" && then && !(this.#o.cleared ?? context.cleared)) {
      return inTime((async () => then.decide(facts, context, route))(), 0.8 * route.budget).catch(() => v);
    }
    return v;
  }

  /** Loads what the store has, when that is another version. What fails leaves the old one in place. */
  async #load(now: number): Promise<void> {
    try {
      const found = await loadKV(this.#o.dataset as KV, this.#version, this.#o.needs);
      if (found) {
        this.#engine = new Engine(this.#o.engine, bytesOf(this.#o.program)!, found.chunks, now);
        this.#version = found.version;
      }
      this.#failed = undefined;
      this.#next = now + 1000 * (this.#o.refresh ?? 300);
    } catch (e) {
      console.error(`ipwarden: the dataset could not be loaded: ${String(e)}`);
      this.#failed = e;
      this.#next = now + again;
    }
  }

  #now(): number {
    return (this.#o.now ?? Date.now)();
  }
}

function bytesOf(b: unknown): Uint8Array | undefined {
  return b instanceof Uint8Array ? b : b instanceof ArrayBuffer ? new Uint8Array(b) : undefined;
}
