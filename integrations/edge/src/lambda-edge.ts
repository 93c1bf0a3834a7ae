// AWS Lambda@Edge: viewer request and origin request.
import { canonical } from "./address.js";
import { running } from "./fetch.js";
import type { Gate } from "./gate.js";
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
  statusDescription: string;
  headers: CloudFrontHeaders;
  body: string;
}

// What a function may not set: CloudFront answers 502 to the viewer. From the page
// "Restrictions on all edge functions" of the CloudFront developer guide.
const DISALLOWED = /^(connection|expect|keep-alive|proxy-(authenticate|authorization|connection)|trailer|upgrade|x-accel-.*|x-amz-cf-.*|x-amzn-.*|x-cache|x-edge-.*|x-forwarded-proto|x-real-ip)$/;
const READ_ONLY = {
  "viewer-request": /^(content-length|host|transfer-encoding|via)$/,
  "origin-request": /^(accept-encoding|content-length|if-(modified-since|none-match|range|unmodified-since)|transfer-encoding|via)$/,
  answer: /^(content-length|transfer-encoding|via|warning)$/,
};

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
    const readOnly = READ_ONLY[config.eventType];
    const fixed = (name: string) => DISALLOWED.test(name) || readOnly.test(name);
    for (const name of Object.keys(request.headers)) if (outcome.remove(name) && !fixed(name.toLowerCase())) delete request.headers[name];
    for (const [key, value] of outcome.set) if (!fixed(key.toLowerCase())) request.headers[key.toLowerCase()] = [{ key, value }];
    return request;
  };
}

/** What an event's request says, for the gate. Lambda@Edge does not tell the scheme: https. */
export function factsOfCloudFront(request: CloudFrontRequest): Facts {
  const headers: HeaderLine[] = [];
  for (const [name, lines] of Object.entries(request.headers)) for (const line of lines) headers.push([line.key ?? name, line.value]);
  const host = request.headers["host"]?.[0]?.value ?? "";
  return {
    address: canonical(request.clientIp ?? ""), method: request.method, scheme: "https", host: host.replace(/\.?(:[0-9]*)?$/, "").toLowerCase(),
    path: request.uri + (request.querystring ? "?" + request.querystring : ""), headers,
  };
}

function answer(status: number, lines: HeaderLine[], body: string, most: number): CloudFrontAnswer {
  const headers: CloudFrontHeaders = {};
  let size = new TextEncoder().encode(body).length + 64; // the status line
  for (const [key, value] of lines) {
    const name = key.toLowerCase();
    if (DISALLOWED.test(name) || READ_ONLY.answer.test(name)) continue;
    (headers[name] ??= []).push({ key, value });
    size += key.length + value.length + 4;
  }
  if (size > most) { // CloudFront would answer 502 instead
    body = "Refused.\n";
    headers["content-type"] = [{ key: "Content-Type", value: "text/plain; charset=utf-8" }];
  }
  return { status: String(status), statusDescription: WORDS[status] ?? "Refused", headers, body };
}

const WORDS: Record<number, string> = { 302: "Found", 303: "See Other", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable" };
