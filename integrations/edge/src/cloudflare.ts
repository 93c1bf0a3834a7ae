// Cloudflare Workers and Pages.
import { canonical, parse } from "./address.js";
import { Clearances } from "./clearance.js";
import { cacheStore, kvStore, type KV, type Store } from "./cache.js";
import { factsOf, onward, refused, replied } from "./fetchlike.js";
import { Gate, type GateOptions } from "./gate.js";
import { Remote } from "./remote.js";
import type { Context } from "./types.js";

/** The variables and bindings that are read where the options say nothing. */
export interface Env {
  /** The base of ipwarden's addresses. */
  IPWARDEN_URL?: string;
  /** A secret: the service token, or a key with the scope decide. */
  IPWARDEN_TOKEN?: string;
  /** Where requests go that pass; default: where they were going. */
  IPWARDEN_ORIGIN?: string;
  /** A secret: what signs clearances, the same as ipwarden's. For deciders that make no tickets themselves. */
  IPWARDEN_CHALLENGE_KEY?: string;
  /** A KV namespace in which answers are kept. Default: the Cache API of each location. */
  IPWARDEN_KV?: KV;
}

/** The client, as Cloudflare's edge says: CF-Connecting-IP, which it overwrites on every request. */
export function clientAddress(headers: Headers): string | null {
  const text = headers.get("cf-connecting-ip");
  const bits = text ? parse(text) : null;
  // With Pseudo IPv4 set to overwrite headers, it is an address of class E that
  // stands for an IPv6 one, which Cloudflare then puts into CF-Connecting-IPv6. From
  // anywhere else no request comes from class E (RFC 1112 section 4); and only then is
  // that other header Cloudflare's own.
  if (bits?.length === 4 && bits[0]! >= 240) {
    const real = headers.get("cf-connecting-ipv6");
    return real && parse(real)?.length === 16 ? canonical(real) : null;
  }
  return canonical(text);
}

/** What protect and pages take. */
export interface Options<E extends Env> extends Partial<GateOptions> {
  /** Answers what passes. Default: the origin. */
  next?: (request: Request, env: E, context: Context) => Response | Promise<Response>;
}

/** A gate for an environment, made once an isolate; null: what it should be made of is wrong. */
function gateOf<E extends Env>(options: Options<E>): (env: E) => Gate | null {
  let made: Gate | undefined;
  return (env) => {
    try {
      const key = env.IPWARDEN_CHALLENGE_KEY;
      if (env.IPWARDEN_ORIGIN && !/^https?:\/\/[^/?#]+\/?$/.test(env.IPWARDEN_ORIGIN)) throw new TypeError(`ipwarden: IPWARDEN_ORIGIN is ${JSON.stringify(env.IPWARDEN_ORIGIN)}: give a scheme and a host alone, such as https://origin.example.org`);
      made ??= new Gate({ ...(key && { clearances: new Clearances({ key }) }), ...options, decider: options.decider ?? remote(env) });
    } catch (e) {
      console.error(String(e));
      return null;
    }
    return made;
  };
}

/** A Remote of an environment. */
export function remote(env: Env): Remote {
  const store = storeOf(env);
  return new Remote({ url: env.IPWARDEN_URL ?? "", token: env.IPWARDEN_TOKEN ?? "", ...(store && { store }) });
}

function storeOf(env: Env): Store | undefined {
  if (env.IPWARDEN_KV) return kvStore(env.IPWARDEN_KV);
  const all = (globalThis as { caches?: { default?: Cache } }).caches;
  return all?.default && cacheStore(all.default);
}

/** What is wrong is in the Worker's log: it is nobody else's business. */
function misconfigured(): Response {
  return new Response("The gate of this site is not configured.\n", { status: 500, headers: { "cache-control": "no-store" } });
}

/**
 * A Worker that stands in front of the origin, or of options.next. What is not said in
 * the options comes from the environment (Env). A Worker that is configured wrongly
 * answers 500 and lets nothing through.
 *
 *     export default protect();
 */
export function protect<E extends Env>(options: Options<E> = {}): { fetch(request: Request, env: E, context: Context): Promise<Response> } {
  const gate = gateOf(options);
  return {
    async fetch(request, env, context) {
      const g = gate(env);
      if (!g) return misconfigured();
      const outcome = await g.check(factsOf(request, clientAddress(request.headers)), context);
      if (!outcome.pass) return refused(outcome);
      if (env.IPWARDEN_URL && new URL(request.url).pathname === challengePath) return page(request, env.IPWARDEN_URL);
      const onto = new Request(request, { headers: onward(request, outcome), redirect: "manual" });
      if (options.next) return replied(await options.next(onto, env, context), outcome);
      if (!env.IPWARDEN_ORIGIN) return replied(await fetch(onto), outcome);
      const to = new URL(env.IPWARDEN_ORIGIN);
      // Not as a relative reference: "//host/" would be another host.
      ({ pathname: to.pathname, search: to.search } = new URL(request.url));
      return replied(await fetch(new Request(to, onto)), outcome);
    },
  };
}

/** Where ipwarden has the challenge's page. */
const challengePath = "/.ipwarden/challenge";

/** The challenge's page, from the ipwarden that knows the ticket. It needs nothing of the client but its form. */
function page(request: Request, url: string): Promise<Response> {
  const headers = new Headers();
  for (const name of ["accept-language", "content-type"]) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const { method, body } = request;
  return fetch(url.replace(/\/*$/, challengePath) + new URL(request.url).search, { method, headers, body, redirect: "manual" })
    .catch(() => new Response("The challenge is not available now. Try again shortly.\n", { status: 503, headers: { "cache-control": "no-store", "retry-after": "5" } }));
}

/** What Cloudflare hands to a Pages function. */
export interface PagesContext<E extends Env> extends Context {
  request: Request;
  env: E;
  next(input?: Request): Promise<Response>;
}

/**
 * A Pages function in front of a site: functions/_middleware.js
 *
 *     export const onRequest = pages();
 */
export function pages<E extends Env>(options: Omit<Options<E>, "next"> = {}): (context: PagesContext<E>) => Promise<Response> {
  const gate = gateOf(options);
  return async (context) => {
    const { request, env } = context;
    const g = gate(env);
    if (!g) return misconfigured();
    const outcome = await g.check(factsOf(request, clientAddress(request.headers)), { waitUntil: (p) => context.waitUntil(p) });
    if (!outcome.pass) return refused(outcome);
    if (env.IPWARDEN_URL && new URL(request.url).pathname === challengePath) return page(request, env.IPWARDEN_URL);
    return replied(await context.next(new Request(request, { headers: onward(request, outcome), redirect: "manual" })), outcome);
  };
}
