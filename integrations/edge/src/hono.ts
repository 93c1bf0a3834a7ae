// Hono, on whatever it runs.
import { running, type PeerOptions } from "./fetch.js";
import { factsOf, onward, refused } from "./fetchlike.js";
import type { Gate } from "./gate.js";
import { clientOf } from "./proxies.js";
import type { Context } from "./types.js";

/** What of Hono's Context is used. */
interface HonoContext {
  req: { raw: Request };
  env: unknown;
  executionCtx: Context;
  header(name: string, value: string): void;
}

/**
 * A middleware for app.use; put it before all others:
 *
 *     app.use(hono(gate, { peer: node }));                                      // node, deno, bun of ./fetch
 *     app.use(hono(gate, { peer: (request) => clientAddress(request.headers) })); // of ./cloudflare
 *
 * peer gets the request and Hono's env. There is no default: which source is to be trusted
 * depends on what Hono runs on.
 */
export function hono(gate: Gate, options: PeerOptions): (c: any, next: () => Promise<void>) => Promise<Response | void> {
  return async (c: HonoContext, next) => {
    const request = c.req.raw;
    const facts = factsOf(request, null);
    facts.address = clientOf(options.peer(request, c.env), facts.headers, options.proxies);
    const outcome = await gate.check(facts, contextOf(c));
    if (!outcome.pass) return refused(outcome);
    c.req.raw = new Request(request, { headers: onward(request, outcome) });
    await next();
    for (const [name, value] of outcome.reply) c.header(name, value);
  };
}

function contextOf(c: HonoContext): Context {
  try {
    return c.executionCtx;
  } catch { // it throws where there is none
    return running;
  }
}
