// What adapters share whose platforms speak Request and Response.
import type { Gate } from "./gate.js";
import { bytesOf, hostOf } from "./lines.js";
import type { Context, Facts, HeaderLine, Outcome } from "./types.js";

/** The facts of a Request. The platform says whose address it is. */
export function factsOf(request: Request, address: string | null): Facts {
  const { protocol, hostname, pathname, search } = new URL(request.url);
  return { address, method: request.method, scheme: protocol.slice(0, -1), host: hostOf(hostname), path: pathname + search, headers: [...request.headers].map(([n, v]) => [n, bytesOf(v)]) };
}

type Passing = Extract<Outcome, { pass: true }>;
type Refusing = Extract<Outcome, { pass: false }>;

/** The header with which a request goes on to the origin. */
export function onward(request: Request, outcome: Passing): Headers {
  const headers = new Headers(request.headers);
  for (const name of [...headers.keys()]) if (outcome.remove(name)) headers.delete(name);
  // What names fields that hop by hop end here must not take away what is set.
  const connection = headers.get("connection");
  if (connection !== null) headers.set("connection", connection.split(",").filter((o) => !outcome.remove(o)).join());
  return put(headers, outcome.set);
}

function put(headers: Headers, lines: HeaderLine[]): Headers {
  for (const [name, value] of lines) headers.set(name, value);
  return headers;
}

/** The answer to a request that does not go on. */
export function refused(outcome: Refusing): Response {
  return new Response(outcome.body || null, outcome);
}

/** Answers a request: as the gate refuses it, or with what next makes of it as an origin is to have it. */
export async function answer(gate: Gate, facts: Facts, request: Request, context: Context, next: (onto: Request) => Response | Promise<Response>): Promise<Response> {
  const outcome = await gate.check(facts, context);
  if (!outcome.pass) return refused(outcome);
  const response = await next(new Request(request, { headers: onward(request, outcome), redirect: "manual" }));
  // One that switches protocols stays as it is, and Bun has none then.
  if (!response || response.status === 101 || outcome.reply.length === 0) return response;
  const out = new Response(response.body, response);
  put(out.headers, outcome.reply);
  return out;
}
