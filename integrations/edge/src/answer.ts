// What /v1/decide answers, read as bytes that anybody may have written.
import { Refuse } from "./refuse.js";
import type { LimitState, Verdict, VerdictName } from "./types.js";

/** How long and for whom an answer holds, as the server says. */
export interface Lease {
  /** All addresses in it get this answer; "": the one that was asked about. */
  network: string;
  /** Seconds for which it is as good as a new one; 0: for one request. */
  seconds: number;
  /** Seconds beyond them in which it is better than none. */
  stale: number;
  /** What of a request it depends on: method, header:user-agent, path^/api/. */
  reads: string[];
}

/** An answer of the server. */
export interface Answer {
  verdict: Verdict;
  lease: Lease | null;
}

const verdicts: readonly string[] = ["allow", "flag", "throttle", "challenge", "step_up", "block"];
const maxText = 4096;

/** The longest place that a client is sent to, in characters. A client makes it long: it has the request's path and query in it. */
const maxLocation = 16384;

/** Bounds of a lease, in seconds: what says more was not written by ipwarden. */
export const maxLease = 3600;

type Members = Record<string, unknown>;

/** Throws an Error that says which part is none. */
function must(ok: unknown, what: string): asserts ok {
  if (!ok) throw new Error(`${what} is none of ipwarden's`);
}

function members(v: unknown, what: string): Members {
  must(typeof v === "object" && v && !Array.isArray(v), what);
  return v as Members;
}

function text(o: Members, name: string, required = false, most = maxText): string {
  const v = o[name] ?? "";
  must(typeof v === "string" && v.length <= most && (v || !required), name);
  return v;
}

function whole(o: Members, name: string, most = 0xffffffff): number {
  const v = o[name] ?? 0;
  must(Number.isInteger(v) && (v as number) >= 0 && (v as number) <= most, name);
  return v as number;
}

function truth(o: Members, name: string, absent?: boolean): boolean {
  const v = o[name] ?? absent;
  must(typeof v === "boolean", name);
  return v;
}

function texts(o: Members, name: string, most = 256): string[] {
  const v = o[name] ?? [];
  must(Array.isArray(v) && v.length <= most && v.every((s) => typeof s === "string" && s.length <= maxText), name);
  return v as string[];
}

/**
 * Reads an answer. Throws an Error that says what is wrong with it, and a Refuse where
 * the request is: it made the answer longer than any client takes.
 */
export function readAnswer(body: string): Answer {
  const o = members(JSON.parse(body), "the answer");
  const passes = truth(o, "passes");
  const status = whole(o, "status", 599);
  const name = text(o, "verdict");
  must(verdicts.includes(name), "verdict");
  must(passes ? status === 0 : status >= 200, "status");
  const location = text(o, "location", false, Infinity);
  if (location.length > maxLocation) throw new Refuse(431, "too_large");
  must(location || status < 300 || status >= 400, "location");
  const limits = (Array.isArray(o["limits"]) ? o["limits"].slice(0, 64) : []).map((l): LimitState => {
    const m = members(l, "a limit");
    return { name: text(m, "name", true), limit: whole(m, "limit"), remaining: whole(m, "remaining"), window: whole(m, "window"), reset: whole(m, "reset"), allowed: truth(m, "allowed") };
  });
  const verdict: Verdict = {
    verdict: name as VerdictName, passes, status, retryAfter: whole(o, "retry_after", 0x7fffffff), location,
    reason: text(o, "reason"), by: text(o, "by"), tier: text(o, "tier"), decision: text(o, "decision", true), country: text(o, "country"),
    asn: whole(o, "asn"), traits: texts(o, "traits"), risk: whole(members(o["risk"] ?? {}, "risk"), "score", 100), tags: texts(o, "tags"), degraded: truth(o, "degraded", false), limits,
  };
  if (o["lease"] === undefined) return { verdict, lease: null };
  const l = members(o["lease"], "lease");
  const lease = { network: text(l, "network"), seconds: whole(l, "seconds", maxLease), stale: whole(l, "stale", maxLease), reads: texts(l, "reads", 1024) };
  if (lease.network) verdict.network = lease.network;
  return { verdict, lease };
}
