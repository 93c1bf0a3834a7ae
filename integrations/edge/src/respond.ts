// What a client is told whose request does not go on: the same words as the gate's.
import { fieldValue, reply } from "./headers.js";
import type { Facts, HeaderLine, Verdict } from "./types.js";

/** Whether a client would rather see a page than JSON: it names text/html first. */
export function wantsPage(accept: string): boolean {
  const html = accept.indexOf("text/html");
  const json = accept.indexOf("json");
  return html >= 0 && (json < 0 || html < json);
}

/** All lines of a field as one value (RFC 9110 section 5.2); "": none. */
export function field(facts: Facts, name: string): string {
  return facts.headers.filter(([n]) => n.toLowerCase() === name).map(([, v]) => v).join(", ");
}

function words(v: Verdict): { type: string; title: string; detail: string } {
  const own = "https://ipwarden.dev/problems/";
  const iana = "https://iana.org/assignments/http-problem-types#";
  if (v.status === 431) return { type: "about:blank", title: "Too many header fields", detail: "The header of this request is too long to be judged. Send fewer or shorter fields." };
  if (v.status === 400) return { type: `${own}ambiguous-path`, title: "The path can be read in two ways", detail: "Write the path without dot segments that are encoded, encoded slashes and backslashes, such as /a/b." };
  if (v.reason === "fail_closed") return { type: `${iana}temporary-reduced-capacity`, title: "Not available now", detail: "Something that decides about requests is away. Try again shortly." };
  if (v.verdict === "throttle") {
    const again = v.retryAfter > 1 ? `Try again in ${v.retryAfter} seconds.` : "Try again in a second.";
    return { type: `${iana}quota-exceeded`, title: "Too many requests", detail: `There were too many requests. ${again}` };
  }
  if (v.verdict === "challenge") return { type: `${own}challenge-required`, title: "Prove that you are welcome", detail: "This client has to solve a challenge first." };
  return { type: `${own}blocked`, title: "Not allowed", detail: "This request is not allowed from where it comes. Who thinks that this is wrong can tell the site the decision's ID." };
}

const escapes: Record<string, string> = { "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&#34;", "'": "&#39;" };
const html = (text: string) => text.replace(/[<>&"']/g, (c) => escapes[c]!);

const style = ":root{font:1rem/1.5 system-ui,sans-serif}body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}main{max-width:34rem;padding:2rem 1.5rem}h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}p{margin:.5rem 0}small{display:block;margin-top:1.5rem;opacity:.75;overflow-wrap:anywhere}";

function page(v: Verdict): string {
  const w = words(v);
  const t = html(w.title);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark"><title>${t}</title><style>${style}</style></head><body><main><h1>${t}</h1><p>${html(w.detail)}</p><small>${v.status}${v.decision ? ` · decision ${html(v.decision)}` : ""}</small></main></body></html>
`;
}

function problem(v: Verdict): string {
  const limits = (v.limits ?? []).filter((l) => !l.allowed).map((l) => l.name);
  return JSON.stringify({
    ...words(v),
    status: v.status,
    ...(v.decision && { decision_id: v.decision }),
    ...(v.verdict === "throttle" && { "violated-policies": [...new Set(limits)] }),
    ...(v.verdict === "challenge" && v.location && { challenge: v.location }),
    ...(v.retryAfter > 0 && { retry_after: v.retryAfter }),
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
  const asPage = wantsPage(field(facts, "accept"));
  headers.push(["Content-Type", asPage ? "text/html; charset=utf-8" : "application/problem+json"], ["X-Content-Type-Options", "nosniff"]);
  if (asPage) headers.push(["Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"]);
  return { status: v.status, headers, body: facts.method === "HEAD" ? "" : asPage ? page(v) : problem(v) };
}
