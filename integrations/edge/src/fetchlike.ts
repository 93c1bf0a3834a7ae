// What adapters share whose platforms speak Request and Response.
import { bytesOf } from "./headers.js";
import type { Facts, HeaderLine, Outcome } from "./types.js";

/** The facts of a Request. The platform says whose address it is. */
export function factsOf(request: Request, address: string | null): Facts {
  const url = new URL(request.url);
  const headers: HeaderLine[] = [];
  request.headers.forEach((value, name) => headers.push([name, bytesOf(value)]));
  return {
    address, method: request.method, scheme: url.protocol.slice(0, -1), host: url.hostname.toLowerCase().replace(/\.$/, ""),
    path: url.pathname + url.search, headers,
  };
}

type Passing = Extract<Outcome, { pass: true }>;
type Refusing = Extract<Outcome, { pass: false }>;

/** The header with which a request goes on to the origin. */
export function onward(request: Request, outcome: Passing): Headers {
  const headers = new Headers(request.headers);
  for (const name of [...headers.keys()]) if (outcome.remove(name)) headers.delete(name);
  // What names fields that hop by hop end here must not take away what is set.
  const connection = headers.get("connection");
  if (connection !== null) headers.set("connection", connection.split(",").filter((o) => !outcome.remove(o)).join(","));
  for (const [name, value] of outcome.set) headers.set(name, value);
  return headers;
}

/** The answer to a request that does not go on. */
export function refused(outcome: Refusing): Response {
  return new Response(outcome.body === "" ? null : outcome.body, { status: outcome.status, headers: outcome.headers });
}

/** The origin's answer with the lines for the client. One that switches protocols stays as it is. */
export function replied(response: Response, outcome: Passing): Response {
  if (response.status === 101 || outcome.reply.length === 0) return response;
  const out = new Response(response.body, response);
  for (const [name, value] of outcome.reply) out.headers.set(name, value);
  return out;
}
