// What a client is told whose request does not go on: the same words as the gate's.
import { fieldValue, reply } from "./headers.js";
import { valuesOf } from "./lines.js";
import type { Facts, HeaderLine, Verdict } from "./types.js";

/** Whether a client would rather see a page than JSON: it names text/html first. */
export function wantsPage(accept: string): boolean {
  const html = accept.indexOf("text/html");
  const json = accept.indexOf("json");
  return html >= 0 && (json < 0 || html < json);
}

/** What stands in the answer: the type of the problem, its title and its detail. */
function words(v: Verdict): [type: string, title: string, detail: string] {
  const own = "https://ipwarden.dev/problems/";
  const iana = "https://iana.org/assignments/http-problem-types#";
  if (v.status === 431) return ["about:blank", "Too many header fields", "The header of this request is too long to be judged. Send fewer or shorter fields."];
  if (v.status === 400) return [own + "ambiguous-path", "The path can be read in two ways", "Write the path without dot segments that are encoded, encoded slashes and backslashes, such as /a/b."];
  if (v.reason === "fail_closed") return [iana + "temporary-reduced-capacity", "Not available now", "Something that decides about requests is away. Try again shortly."];
  if (v.verdict === "throttle") return [iana + "quota-exceeded", "Too many requests", `There were too many requests. Try again in ${v.retryAfter > 1 ? v.retryAfter + " seconds" : "a second"}.`];
  if (v.verdict === "challenge") return [own + "challenge-required", "Prove that you are welcome", "This client has to solve a challenge first."];
  return [own + "blocked", "Not allowed", "This request is not allowed from where it comes. Who thinks that this is wrong can tell the site the decision's ID."];
}

const html = (text: string) => text.replace(/[<>&"']/g, (c) => `&#${c.charCodeAt(0)};`);

const style = ":root{font:1rem/1.5 system-ui,sans-serif}body{max-width:34rem;margin:20vh auto;padding:0 1.5rem}small{opacity:.75;overflow-wrap:anywhere}";

function page(v: Verdict): string {
  const [, title, detail] = words(v).map(html) as [string, string, string];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark"><title>${title}</title><style>${style}</style></head><body><h1>${title}</h1><p>${detail}</p><small>${v.status}${v.decision && ` · decision ${html(v.decision)}`}</small></body></html>
`;
}

function problem(v: Verdict): string {
  const [type, title, detail] = words(v);
  // What is undefined is left out.
  return JSON.stringify({
    type, title, status: v.status, detail, decision_id: v.decision || undefined,
    "violated-policies": v.verdict === "throttle" ? [...new Set((v.limits ?? []).filter((l) => !l.allowed).map((l) => l.name))] : undefined,
    challenge: v.verdict === "challenge" && v.location || undefined, retry_after: v.retryAfter || undefined,
  }) + "\n";
}

/**
 * The answer to a request that does not go on: a redirect, or a problem document
 * (RFC 9457), or a page where the client would rather see one.
 */
export function refusal(v: Verdict, facts: Facts): { status: number; headers: HeaderLine[]; body: string } {
  const headers: HeaderLine[] = [["Cache-Control", "no-store"], ...reply(v), ["Vary", "Accept"]];
  if (v.location) headers.push(["Location", fieldValue(v.location)]);
  if ((v.location && v.status < 400) || v.status === 204 || v.status === 205) return { status: v.status, headers, body: "" };
  const asPage = wantsPage(valuesOf(facts.headers, "accept").join());
  headers.push(["Content-Type", asPage ? "text/html; charset=utf-8" : "application/problem+json"], ["X-Content-Type-Options", "nosniff"]);
  if (asPage) headers.push(["Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"]);
  return { status: v.status, headers, body: facts.method === "HEAD" ? "" : asPage ? page(v) : problem(v) };
}
