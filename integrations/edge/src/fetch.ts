// For platforms whose handlers take a Request and return a Response: Deno, Bun, Node
// behind a server that speaks Fetch.
import { answer, factsOf } from "./fetchlike.js";
import type { Gate } from "./gate.js";
import { clientOf, type Proxies } from "./proxies.js";
import type { Context } from "./types.js";

/**
 * A Source says what a platform knows of the other end of a connection: an address, or
 * undefined. platform is what the handler got beside its request. It must not read what a
 * client can send.
 */
export type Source = (request: Request, platform: any) => string | null | undefined;

/** Deno: info.remoteAddr of Deno.serve. A Unix socket has none. */
export const deno: Source = (_, info) => info?.remoteAddr?.hostname;

/** Bun: server.requestIP of Bun.serve. */
export const bun: Source = (request, server) => server?.requestIP?.(request)?.address;

/** Node behind @hono/node-server, or another that hands over { incoming: IncomingMessage }: its socket. */
export const node: Source = (_, env) => env?.incoming?.socket?.remoteAddress;

/** Options of adapters for servers that clients, or proxies of one's own, connect to. */
export interface PeerOptions {
  /** The other end of the connection: deno, bun, node, or a function of one's own. */
  peer: Source;
  /** Proxies in front whose header counts. Default: none, so that the client is the peer. */
  proxies?: Proxies;
}

/** A context for platforms where a process goes on by itself. */
export const running: Context = { waitUntil: (p) => void p.catch(() => {}) };

/**
 * A fetch handler with the gate in front of app:
 *
 *     Deno.serve(protect(gate, app, { peer: deno }));
 *     Bun.serve({ fetch: protect(gate, app, { peer: bun }) });
 *
 * app gets the request as an origin is to have it, what the platform gave beside, and the request
 * as it came: Deno.upgradeWebSocket and Bun's server.upgrade take no other. What is known is not on that.
 */
export function protect<P>(
  gate: Gate, app: (request: Request, platform: P, original: Request) => Response | Promise<Response>, options: PeerOptions,
): (request: Request, platform: P) => Promise<Response> {
  return async (request, platform) => {
    const facts = factsOf(request, null);
    facts.address = clientOf(options.peer(request, platform), facts.headers, options.proxies);
    return answer(gate, facts, request, running, (onto) => app(onto, platform, request));
  };
}
