// What is taken off a request, and what is put on it and on the answer.
import { latin, utf8 } from "./lines.js";
import type { Facts, HeaderLine, LimitState, Verdict } from "./types.js";

/** The names that GateOptions.enrich takes: those of the headers, without X-Ipwarden-. */
export const enrichments = ["asn", "country", "decision", "degraded", "ip", "reason", "risk", "rule", "tags", "tier", "traits"] as const;
export type Enrichment = (typeof enrichments)[number];

/**
 * Whether an inbound line must not reach the origin: X-Ipwarden-*, which only a gate
 * says, and x-middleware-subrequest*, with which Next.js tells itself that its
 * middleware has run. In any case, and with whatever a server behind may read as a
 * hyphen.
 */
export function removes(name: string): boolean {
  const plain = name.trim().toLowerCase().replace(/[^a-z0-9]/g, "-");
  return plain.startsWith("x-ipwarden-") || plain.startsWith("x-middleware-subrequest");
}

/** A text as a field value carries it: UTF-8 in bytes, nothing that could end the line. */
export function fieldValue(text: string): string {
  return /^[ -~]*$/.test(text) ? text : latin(utf8(text)).replace(/[\0-\x1f\x7f]/g, "?");
}

/** The lines that tell the origin what is known, in the order of their names. */
export function enriched(v: Verdict, facts: Facts, names: ReadonlySet<string>): HeaderLine[] {
  const { asn, country, decision, degraded, reason, risk, by, tags, tier, traits, verdict } = v;
  const values = [asn || "", country, decision, degraded || "", facts.address ?? "", reason, risk, by, tags, tier, traits, verdict].map(String);
  return [...enrichments, "verdict"]
    .map((name, i): HeaderLine => [name, values[i]!])
    .filter(([name, value]) => value && (name === "verdict" || names.has(name)))
    .map(([name, value]) => [`X-Ipwarden-${name[0]!.toUpperCase() + name.slice(1)}`, fieldValue(value)]);
}

/** A String of RFC 9651 section 4.1.6. */
function quoted(text: string): string {
  return `"${text.replace(/[^ -~]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}

/**
 * RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11) and
 * Retry-After, as the gate writes them.
 */
export function reply(v: Verdict): HeaderLine[] {
  const limits = tightest(v.limits ?? []);
  const out: HeaderLine[] = [];
  if (limits.length > 0) {
    const denied = limits.some((l) => !l.allowed);
    const told = limits.filter((l) => !denied || !l.allowed);
    const left = (l: LimitState) => (l.allowed ? Math.max(l.reset, Math.ceil((l.window * l.remaining) / (l.limit || 1))) : v.retryAfter || l.reset);
    out.push(["RateLimit", told.map((l) => `${quoted(l.name)};r=${l.remaining};t=${left(l)}`).join(", ")]);
    out.push(["RateLimit-Policy", limits.map((l) => `${quoted(l.name)};q=${l.limit}${l.window > 0 ? `;w=${l.window}` : ""}`).join(", ")]);
  }
  if (!v.passes && v.retryAfter > 0) out.push(["Retry-After", String(v.retryAfter)]);
  return out;
}

/** Of limits with the same name the one with the least left. */
function tightest(limits: LimitState[]): LimitState[] {
  const by = new Map<string, LimitState>();
  for (const l of limits) {
    const o = by.get(l.name);
    if (!o || (o.allowed && !l.allowed) || (o.allowed === l.allowed && l.remaining < o.remaining)) by.set(l.name, l);
  }
  return [...by.values()];
}
