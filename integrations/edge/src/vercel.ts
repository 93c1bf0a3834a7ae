// Vercel and Next.js: a middleware answers, or says by headers what goes on.
import { canonical } from "./address.js";
import { factsOf, onward, refused } from "./fetchlike.js";
import type { Gate } from "./gate.js";
import type { Context } from "./types.js";

/** Options of middleware. */
export interface VercelOptions {
  /**
   * Where the address is from. Default: x-vercel-forwarded-for, which Vercel overwrites
   * whatever a client or a proxy on top of it sends. Anywhere else anybody can send that header:
   * a Next.js of one's own needs a function here.
   */
  address?: (request: Request) => string | null | undefined;
}

/** The address that Vercel tells, one alone: of two nobody knows which. */
export function vercelAddress(request: Request): string | null {
  return canonical(request.headers.get("x-vercel-forwarded-for") ?? "");
}

/**
 * The middleware of a middleware.ts (of a proxy.ts from Next.js 16 on):
 *
 *     export default middleware(gate);
 *
 * It imports nothing of Next.js: what it answers is what NextResponse.next makes
 * (x-middleware-next, and the request's header in x-middleware-override-headers).
 */
export function middleware(gate: Gate, options: VercelOptions = {}): (request: Request, event?: Partial<Context>) => Promise<Response> {
  const address = options.address ? (r: Request) => canonical(options.address?.(r) ?? "") : vercelAddress;
  return async (request, event) => {
    // The method belongs to the event: it is not taken off it.
    const context: Context = { waitUntil: (p) => void (event?.waitUntil ? event.waitUntil(p) : p.catch(() => {})) };
    const outcome = await gate.check(factsOf(request, address(request)), context);
    if (!outcome.pass) {
      const answer = refused(outcome);
      const to = answer.headers.get("location");
      if (to) answer.headers.set("location", new URL(to, request.url).href); // Next.js reads no relative one
      return answer;
    }
    const headers = new Headers(outcome.reply);
    headers.set("x-middleware-next", "1");
    const names: string[] = [];
    for (const [name, value] of onward(request, outcome)) {
      headers.set("x-middleware-request-" + name, value);
      names.push(name);
    }
    headers.set("x-middleware-override-headers", names.join(","));
    return new Response(null, { headers });
  };
}
