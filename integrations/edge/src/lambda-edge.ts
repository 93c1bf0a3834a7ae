// AWS Lambda@Edge: viewer request and origin request.
import { canonical } from "./address.js";
import { running } from "./fetch.js";
import type { Gate } from "./gate.js";
import { hostOf, utf8 } from "./lines.js";
import type { Facts, HeaderLine } from "./types.js";

/** Headers as CloudFront has them: names in lower case, each with its lines. */
export type CloudFrontHeaders = Record<string, { key?: string; value: string }[]>;

/** A request as CloudFront hands it over. What it has beside goes on unchanged. */
export interface CloudFrontRequest {
  clientIp: string;
  method: string;
  uri: string;
  querystring: string;
  headers: CloudFrontHeaders;
}

/** The event of a viewer request or an origin request. */
export interface CloudFrontEvent {
  Records: { cf: { config: { eventType: string }; request: CloudFrontRequest } }[];
}

/** An answer of the function's own. */
export interface CloudFrontAnswer {
  status: string;
  headers: CloudFrontHeaders;
  body: string;
}

// What a generated answer may have, header and body, in bytes.
const MOST = { "viewer-request": 40 << 10, "origin-request": 1 << 20 };

/**
 * The handler of a viewer request or an origin request:
 *
 *     export const handler = lambdaEdge(gate);
 *
 * The address is the event's clientIp, which CloudFront takes from the connection. It refuses an
 * event of an answer with an Error: there is nothing left to decide.
 */
export function lambdaEdge(gate: Gate): (event: CloudFrontEvent) => Promise<CloudFrontRequest | CloudFrontAnswer> {
  return async (event) => {
    const { config, request } = event.Records[0]!.cf;
    if (config.eventType !== "viewer-request" && config.eventType !== "origin-request") {
      throw new Error(`ipwarden: an event ${config.eventType} has no request to decide about; associate the function with viewer-request`);
    }
    const outcome = await gate.check(factsOfCloudFront(request), running);
    if (!outcome.pass) return answer(outcome.status, outcome.headers, outcome.body, MOST[config.eventType]);
    for (const name of Object.keys(request.headers)) if (outcome.remove(name)) delete request.headers[name];
    // None is disallowed or read-only (restrictions on edge functions, CloudFront's
    // developer guide): those are answered with 502, and the test of what is set knows them.
    for (const [key, value] of outcome.set) request.headers[key.toLowerCase()] = [{ key, value }];
    return request;
  };
}

/** What an event's request says, for the gate. Lambda@Edge does not tell the scheme: https. */
export function factsOfCloudFront(request: CloudFrontRequest): Facts {
  const headers: HeaderLine[] = [];
  for (const [name, lines] of Object.entries(request.headers)) for (const line of lines) headers.push([line.key ?? name, line.value]);
  const host = request.headers["host"]?.[0]?.value ?? "";
  return {
    address: canonical(request.clientIp ?? ""), method: request.method, scheme: "https", host: hostOf(host),
    path: request.uri + (request.querystring ? "?" + request.querystring : ""), headers,
  };
}

function answer(status: number, lines: HeaderLine[], body: string, most: number): CloudFrontAnswer {
  const headers: CloudFrontHeaders = {};
  let size = utf8(body).length + 64; // the status line
  for (const [key, value] of lines) {
    (headers[key.toLowerCase()] ??= []).push({ key, value });
    size += key.length + value.length + 4;
  }
  if (size > most) { // CloudFront would answer 502 instead
    body = "Refused.\n";
    headers["content-type"] = [{ key: "Content-Type", value: "text/plain; charset=utf-8" }];
  }
  return { status: String(status), headers, body };
}
