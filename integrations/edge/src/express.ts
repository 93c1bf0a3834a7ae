// Express, and whatever else takes (req, res, next): Connect, plain node:http.
import type { IncomingMessage, ServerResponse } from "node:http";
import { running } from "./fetch.js";
import type { Gate } from "./gate.js";
import { clientOf, type Proxies } from "./proxies.js";
import { hostOf } from "./lines.js";
import type { Facts, HeaderLine } from "./types.js";

/** Options of express. */
export interface ExpressOptions {
  /** Proxies in front whose header counts. Default: none, so that the client is the socket's other end. Express's trust proxy and req.ip are not asked. */
  proxies?: Proxies;
  /** What the policy calls account.*. Default: nothing. */
  account?: (req: IncomingMessage) => Record<string, string> | undefined;
}

/**
 * A middleware; put it before all others:
 *
 *     app.use(express(gate));
 *     http.createServer((req, res) => express(gate)(req, res, () => app(req, res)));
 */
export function express(gate: Gate, options: ExpressOptions = {}): (req: IncomingMessage, res: ServerResponse, next: (err?: unknown) => void) => Promise<void> {
  return async (req, res, next) => {
    try {
      const outcome = await gate.check(factsOfNode(req, options), running);
      for (const [name, value] of outcome.pass ? outcome.reply : outcome.headers) res.setHeader(name, value);
      if (!outcome.pass) {
        res.statusCode = outcome.status;
        res.end(outcome.body);
        return;
      }
      rewrite(req, outcome.remove, outcome.set);
      const r = req as { url?: string; originalUrl?: string };
      for (const name of ["url", "originalUrl"] as const) if (r[name] && r[name] !== "*") r[name] = pathOf(r[name]);
    } catch (e) {
      // Not next(e): what is no Express takes any call of it for a pass. And not a
      // rejection, which ends the process where nobody waits for it.
      console.error("ipwarden:", e);
      if (!res.headersSent) res.writeHead(500, { "cache-control": "no-store" });
      res.end();
      return;
    }
    next();
  };
}

/** What a request of node:http says, for the gate. */
export function factsOfNode(req: IncomingMessage & { originalUrl?: string }, options: ExpressOptions = {}): Facts {
  const headers = linesOf(req);
  const account = options.account?.(req);
  const field = String(req.headers[":authority"] ?? req.headers.host ?? "");
  return {
    address: clientOf(req.socket.remoteAddress, headers, options.proxies),
    method: req.method ?? "GET", scheme: (req.socket as { encrypted?: boolean }).encrypted ? "https" : "http",
    host: hostOf(field), path: pathOf(req.originalUrl ?? req.url ?? "/"), headers, ...(account && { account }),
  };
}

/**
 * The path and query of a target. An absolute one names them too; Host is what applications
 * read, and what is judged (RFC 9112 section 3.2.2). It goes on as it is read here: where the
 * authority of such a target ends, parsers do not agree.
 */
function pathOf(target: string): string {
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "");
  return path[0] === "/" ? path : "/" + path;
}

/** The lines as they came: req.headers has lost repeated ones. */
function linesOf({ rawHeaders: raw }: IncomingMessage): HeaderLine[] {
  return Array.from({ length: raw.length >> 1 }, (_, i) => [raw[2 * i]!, raw[2 * i + 1]!]);
}

/** Takes lines off a request and sets others, in all the forms in which Node has them. What is set has names that go. */
function rewrite(req: IncomingMessage, off: (name: string) => boolean, set: HeaderLine[]): void {
  const { headers, headersDistinct = {} } = req; // before rawHeaders, of which Node makes them; not there in HTTP/2
  // HTTP/2 has the host in :authority, and may have another in Host (RFC 9113 section 8.3.1): what was judged is what is read.
  const authority = headers[":authority"] as string | undefined;
  if (authority !== undefined) set = [...set, ["host", authority]];
  const goes = (name: string) => off(name) || (authority !== undefined && name.toLowerCase() === "host");
  const raw = linesOf(req).filter(([name]) => !goes(name)).concat(set);
  for (const all of [headers, headersDistinct]) for (const name of Object.keys(all)) if (goes(name)) delete all[name];
  for (const [name, value] of set) headersDistinct[name.toLowerCase()] = [(headers[name.toLowerCase()] = value)];
  // What names fields that end here, hop by hop, must not take away what is set.
  if (headers.connection !== undefined) {
    const rest = (line: string) => line.split(",").filter((o) => !goes(o)).join();
    headers.connection = rest(headers.connection);
    headersDistinct["connection"] = headersDistinct["connection"]?.map(rest);
    for (const line of raw) if (line[0].toLowerCase() === "connection") line[1] = rest(line[1]);
  }
  req.rawHeaders.splice(0, Infinity, ...raw.flat());
}
