// The gate: one function, from the facts of a request to what comes of it.
import { parse, network } from "./address.js";
import { enriched, enrichments, removes, reply, type Enrichment } from "./headers.js";
import { halves, inTime } from "./lines.js";
import { Mistakes } from "./mistakes.js";
import { Refuse } from "./refuse.js";
import { refusal } from "./respond.js";
import type { Context, Decider, Facts, FailMode, FullRoute, Outcome, Route, Verdict } from "./types.js";

/** What a Gate is made of. */
export interface GateOptions {
  /** Who says what to do. */
  decider: Decider;
  /** How requests of some paths are treated; the first that matches counts. Default: none. */
  routes?: Route[];
  /** What becomes of a request that cannot be judged. Default: "safe". */
  fail?: FailMode;
  /** Milliseconds for a decision, 1 to 10000. Default: 100. */
  budget?: number;
  /** Whether the first request of a network waits for the answer. Default: "wait". */
  first?: "wait" | "pass";
  /**
   * The safe tier: as many requests of one network (an IPv4 address, the /64 of an IPv6
   * one) in a window of seconds. Counted in the memory of this isolate. Default: 20 in 60.
   */
  safe?: { limit: number; window: number };
  /**
   * What makes tickets for the challenge's page and knows who has a clearance, such as
   * new Clearances({ key }): for deciders that cannot themselves, as Local cannot. Default: none.
   */
  clearances?: Challenges;
  /** What the origin is told besides the verdict. Default: all. */
  enrich?: readonly Enrichment[];
  /** Milliseconds since 1970. Default: Date.now. */
  now?: () => number;
}

/** What a gate needs to send clients to prove themselves; Clearances is one. */
export interface Challenges {
  /** The highest risk up to which a clearance that the request brings holds, 0 to 100; -1: it brings none. */
  ceiling(facts: Facts): Promise<number>;
  /** Where to send a client: the page, with a ticket of its own. */
  location(facts: Facts, risk: number): Promise<string>;
}

/** A verdict with nothing known. */
export function bare(verdict: Verdict["verdict"], status: number, reason: string): Verdict {
  return {
    verdict, passes: status === 0, status, retryAfter: 0, location: "", reason, by: "", tier: "", decision: "",
    country: "", asn: 0, traits: [], risk: 0, tags: [], degraded: true,
  };
}

/** Decides about requests. Make one per isolate: it holds the counts of the safe tier. */
export class Gate {
  readonly #o: Required<Omit<GateOptions, "enrich" | "clearances">> & { enrich: ReadonlySet<string>; clearances?: Challenges };
  readonly #counts = new Map<string, { from: number; n: number }>();

  /** Throws a TypeError that names every mistake of the options. */
  constructor(options: GateOptions) {
    const o = {
      routes: [], fail: "safe" as FailMode, budget: 100, first: "wait" as const, safe: { limit: 20, window: 60 }, now: Date.now,
      ...options, enrich: new Set<string>(options.enrich ?? enrichments),
    };
    const wrong = new Mistakes();
    wrong.must(typeof o.decider?.decide === "function", "decider", "one, such as new Remote({url, token})");
    for (const r of [o as Route, ...o.routes]) {
      const must = (name: keyof Route, is: (v: any) => boolean, give: string) => wrong.must(r[name] === undefined || is(r[name]), name, give, r[name]);
      must("fail", (v) => modes.includes(v), "open, closed or safe");
      must("first", (v) => v === "wait" || v === "pass", "wait or pass");
      must("budget", (v) => v >= 1 && v <= 10000, "milliseconds from 1 to 10000, such as 100");
      must("host", (v) => /^(\*\.)?[^A-Z:/*]+$|^\[/.test(v), "it in lower case and without port, such as www.example.org or *.example.org");
      must("path", (v) => v[0] === "/", "one such as /login or /api/*");
      must("method", (v) => /^[A-Z]/.test(v), "it in capital letters, such as POST");
    }
    wrong.must(o.safe.limit >= 1 && o.safe.window >= 1, "safe", "1 or more of each, such as {limit: 20, window: 60}", o.safe);
    for (const e of o.enrich) wrong.must(enrichments.includes(e as Enrichment), "enrich", "some of " + enrichments.join(", "), e);
    wrong.end();
    this.#o = o;
  }

  /** Says what comes of a request. It never throws, and ends within the route's budget. */
  async check(facts: Facts, behind: Context): Promise<Outcome> {
    const route = this.#route(facts);
    const { clearances, decider, enrich } = this.#o;
    const context: Context = {
      // Nothing behind a request ends a process, or becomes the request's own failure.
      waitUntil(p) {
        p.catch(() => {});
        try {
          behind.waitUntil(p);
        } catch {}
      },
      ...(clearances && { cleared: (f: Facts) => clearances.ceiling(f) }),
    };
    let v: Verdict;
    try {
      const answer = facts.address === null ? this.#failed(route, facts, "unresolved") : decider.decide(facts, context, route);
      v = answer instanceof Promise ? await inTime(answer, route.budget) : answer; // whatever the decider does
    } catch (e) {
      v = e instanceof Refuse ? bare("block", e.status, e.reason) : this.#failed(route, facts, `fail_${route.fail}`);
    }
    if (v.verdict === "challenge" && !v.passes) v = await this.#challenge(v, facts);
    return v.passes
      ? { pass: true, verdict: v, set: enriched(v, facts, enrich), remove: removes, reply: reply(v) }
      : { pass: false, verdict: v, ...refusal(v, facts) };
  }

  /** Sends a client to the page that is to prove itself, and lets it through to there. */
  async #challenge(v: Verdict, facts: Facts): Promise<Verdict> {
    if (v.location === "" && facts.address !== null) {
      // Without a ticket it is refused as it is: nobody gets in because a key is bad.
      const location = await this.#o.clearances?.location(facts, v.risk).catch(() => "");
      if (location) v = { ...v, status: 302, location };
    }
    if (v.location === "" || halves(v.location)[0] !== halves(facts.path)[0]) return v;
    return { ...v, verdict: "allow", passes: true, status: 0, location: "", reason: "challenge_page", by: "" };
  }

  #route(facts: Facts): FullRoute {
    const path = readPath(facts.path);
    const { fail, budget, first, routes } = this.#o;
    const here = routes.filter(({ method, host }) => (!method || method === facts.method.toUpperCase()) && (!host || host === facts.host || (host[0] === "*" && facts.host.endsWith(host.slice(1)))));
    const of = (read: (path: string) => string) => here.find((r) => r.path === undefined || covers(read(r.path), read(path!)));
    const exact = path === null ? undefined : of((p) => p);
    // No spelling of a path is a way out of a route that is stricter: many servers read
    // /LOGIN/ as /login, and some paths have no one reading.
    const may = path === null ? [...routes, undefined] : [exact, of((p) => p.toLowerCase().replace(/(.)\/$/, "$1"))];
    return {
      ...exact, budget: exact?.budget ?? budget, first: exact?.first ?? first,
      fail: modes.find((m) => may.some((r) => (r?.fail ?? fail) === m))!,
    };
  }

  /** The route's fail mode. */
  #failed(route: FullRoute, facts: Facts, reason: string): Verdict {
    if (route.fail === "open") return bare("allow", 0, reason);
    if (route.fail === "closed") return { ...bare("block", 503, "fail_closed"), retryAfter: 5 };
    const wait = this.#take(facts);
    if (wait === 0) return { ...bare("allow", 0, reason), tier: "safe" };
    return { ...bare("throttle", 429, "limit"), by: "safe", tier: "safe", retryAfter: wait };
  }

  /** Counts a request under the safe tier: 0, or seconds until the next window. */
  #take(facts: Facts): number {
    const { limit, window } = this.#o.safe;
    const bits = parse(facts.address ?? "");
    const key = bits ? network(bits, bits.length === 4 ? 32 : 64) : ""; // who has no address shares one count
    const now = this.#o.now() / 1000;
    let c = this.#counts.get(key);
    if (!c || now >= c.from + window || now < c.from) {
      this.#counts.delete(key);
      // The oldest goes first. Who is over the limit stays as long as there is room.
      if (this.#counts.size >= maxCounts) this.#counts.delete(this.#counts.keys().next().value!);
      this.#counts.set(key, (c = { from: now, n: 0 }));
    }
    if (c.n >= limit) return Math.max(1, Math.ceil(c.from + window - now));
    c.n++;
    return 0;
  }
}

/** Whether a path is that of a route, or begins as one with a star. */
function covers(route: string, path: string): boolean {
  return route.endsWith("*") ? path.startsWith(route.slice(0, -1)) || path === route.slice(0, -2) : path === route;
}

/** A path as servers read it; null: they read it in different ways. */
function readPath(target: string): string | null {
  let path = halves(target)[0];
  if (/%(2[35f]|3[bf]|5c|[01]|7f)|[\\;#]/i.test(path)) return null;
  try {
    path = decodeURIComponent(path).replace(/\/{2,}/g, "/");
  } catch {
    return null;
  }
  return /\/\.\.?(\/|$)/.test(path) ? null : path;
}

/** From strict to lenient. */
const modes: readonly FailMode[] = ["closed", "safe", "open"];

/** Networks whose safe tier is counted, some 100 bytes each. */
const maxCounts = 10000;
