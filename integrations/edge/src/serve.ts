// What Workers and Pages functions of Cloudflare share, whoever decides.
import { canonical, parse } from "./address.js";
import type { KV } from "./cache.js";
import { answer, factsOf } from "./fetchlike.js";
import { Gate, type GateOptions } from "./gate.js";
import { Mistakes } from "./mistakes.js";
import type { Context } from "./types.js";

/** The variables and bindings that are read where the options say nothing. */
export interface Env {
  /** The base of ipwarden's addresses. */
  IPWARDEN_URL?: string;
  /** A secret: the service token, or a key with the scope decide. */
  IPWARDEN_TOKEN?: string;
  /** Where requests go that pass; default: where they were going. */
  IPWARDEN_ORIGIN?: string;
  /** A secret: what signs clearances, the same as ipwarden's. For what 'ipwarden edge build' has made. */
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

/** What a gate is made of in an environment. */
export type Make = (env: Env, options: Partial<GateOptions>) => GateOptions;

/** A gate for an environment, made once an isolate; null: what it should be made of is wrong. */
function gateOf(make: Make, options: Partial<GateOptions>): (env: Env) => Gate | null {
  let made: Gate | undefined;
  return (env) => {
    try {
      const origin = env.IPWARDEN_ORIGIN;
      const wrong = new Mistakes();
      wrong.must(!origin || /^https?:\/\/[^/?#]+\/?$/.test(origin), "IPWARDEN_ORIGIN", "a scheme and a host alone, such as https://origin.example.org", origin);
      wrong.end();
      return (made ??= new Gate(make(env, options)));
    } catch (e) {
      console.error(String(e));
      return null;
    }
  };
}

/** Where ipwarden has the challenge's page. */
const challengePath = "/.ipwarden/challenge";

/** The gate, the challenge's page, and whatever is next. */
async function serve(gate: Gate | null, request: Request, env: Env, context: Context, next: (onto: Request) => Response | Promise<Response>): Promise<Response> {
  // What is wrong is in the Worker's log: it is nobody else's business.
  if (!gate) return text(500, "The gate of this site is not configured.");
  const { pathname, search } = new URL(request.url);
  return answer(gate, factsOf(request, clientAddress(request.headers)), request, { waitUntil: (p) => context.waitUntil(p) }, (onto) => {
    if (!env.IPWARDEN_URL || pathname !== challengePath) return next(onto);
    // From the ipwarden that knows the ticket. It needs nothing of the client but its form.
    const headers = new Headers();
    for (const name of ["accept-language", "content-type"]) {
      const value = request.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    return fetch(env.IPWARDEN_URL.replace(/\/*$/, challengePath) + search, { method: onto.method, headers, body: onto.body, redirect: "manual" })
      .catch(() => text(503, "The challenge is not available now. Try again shortly."));
  });
}

const text = (status: number, said: string) => new Response(said + "\n", { status, headers: { "cache-control": "no-store", ...(status === 503 && { "retry-after": "5" }) } });

/** A Worker. */
export interface Worker<E extends Env> {
  fetch(request: Request, env: E, context: Context): Promise<Response>;
}

/** See protect of cloudflare.ts. */
export function protectBy<E extends Env>(make: Make, options: Options<E> = {}): Worker<E> {
  const gate = gateOf(make, options);
  return {
    fetch: (request, env, context) => serve(gate(env), request, env, context, (onto) => {
      if (options.next) return options.next(onto, env, context);
      if (!env.IPWARDEN_ORIGIN) return fetch(onto);
      const to = new URL(env.IPWARDEN_ORIGIN);
      // Not as a relative reference: "//host/" would be another host.
      ({ pathname: to.pathname, search: to.search } = new URL(request.url));
      return fetch(new Request(to, onto));
    }),
  };
}

/** What Cloudflare hands to a Pages function. */
export interface PagesContext<E extends Env> extends Context {
  request: Request;
  env: E;
  next(input?: Request): Promise<Response>;
}

/** A Pages function. */
export type Page<E extends Env> = (context: PagesContext<E>) => Promise<Response>;

/** See pages of cloudflare.ts. */
export function pagesBy<E extends Env>(make: Make, options: Omit<Options<E>, "next"> = {}): Page<E> {
  const gate = gateOf(make, options);
  return (context) => serve(gate(context.env), context.request, context.env, context, (onto) => context.next(onto));
}
