// What is taken off a request, and what is put on it and on the answer.
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

/**
 * A text without the spaces and tabs at its ends (OWS, RFC 9110 section 5.6.3), no others:
 * it is as the gate reads it. And in one pass: an expression for the end looks at each
 * run of spaces as often as that is long, which a client could make seconds of.
 */
export function trim(text: string): string {
  let from = 0, to = text.length;
  const blank = (at: number) => text[at] === " " || text[at] === "\t";
  while (from < to && blank(from)) from++;
  while (from < to && blank(to - 1)) to--;
  return text.slice(from, to);
}

/**
 * A Host field without its port and the dot of the root, in lower case. What stands behind
 * a colon is the port whatever it is, as applications have it: no client makes its host another by it.
 */
export function hostOf(field: string): string {
  return field.replace(/^(\[[^\]]*\]|[^:]*)[^]*$/, "$1").replace(/\.$/, "").toLowerCase();
}

const decodes = (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === "Cloudflare-Workers";

/** A value of the platform's Headers, each character a byte, as the Fetch standard has it. Cloudflare's Workers read UTF-8 instead. */
export function bytesOf(value: string): string {
  if (!decodes || !/[^\0-\x7f]/.test(value)) return value;
  let out = "";
  for (const b of new TextEncoder().encode(value)) out += String.fromCharCode(b);
  return out;
}

/** The text of a value whose characters are bytes of UTF-8; another as it is. */
export function textOf(value: string): string {
  if (!/[^\0-\x7f]/.test(value) || /[^\0-\xff]/.test(value)) return value;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(value, (c) => c.charCodeAt(0)));
  } catch {
    return value;
  }
}

/** A text as a field value carries it: UTF-8 in bytes, nothing that could end the line. */
export function fieldValue(text: string): string {
  let out = "";
  for (const b of new TextEncoder().encode(text)) out += b < 32 || b === 127 ? "?" : String.fromCharCode(b);
  return out;
}

/** The lines that tell the origin what is known, in the order of their names. */
export function enriched(v: Verdict, facts: Facts, names: ReadonlySet<string>): HeaderLine[] {
  const values: Record<string, string> = {
    Asn: v.asn ? String(v.asn) : "",
    Country: v.country,
    Decision: v.decision,
    Degraded: v.degraded ? "true" : "",
    Ip: facts.address ?? "",
    Reason: v.reason,
    Risk: String(v.risk),
    Rule: v.by,
    Tags: v.tags.join(","),
    Tier: v.tier,
    Traits: v.traits.join(","),
    Verdict: v.verdict,
  };
  return Object.entries(values)
    .filter(([name, value]) => value !== "" && (name === "Verdict" || names.has(name.toLowerCase())))
    .map(([name, value]) => [`X-Ipwarden-${name}`, fieldValue(value)]);
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
    const told = denied ? limits.filter((l) => !l.allowed) : limits;
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
