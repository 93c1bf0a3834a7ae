// Remote asks /v1/decide of an ipwarden.
import { readAnswer, type Answer } from "./answer.js";
import { Refuse } from "./gate.js";
import type { Context, Decider, Facts, Route, Verdict } from "./types.js";

/** Where ipwarden is, and how it is asked. */
export interface RemoteOptions {
  /** The base of its addresses, such as https://ipwarden.example.org. */
  url: string;
  /** The service token, or a key of an account with the scope decide. */
  token: string;
  /** Default: the platform's fetch. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** The longest question that the server reads, and the longest answer that is read, bytes. */
const maxQuestion = 64 << 10;
const maxAnswer = 64 << 10;

/** Milliseconds after which a question is given up that goes on behind its request. */
const patience = 3000;

/** Asks an ipwarden over its API. Make one per isolate. */
export class Remote implements Decider {
  readonly #url: string;
  readonly #o: RemoteOptions;

  /** Throws a TypeError for a url that is none. */
  constructor(options: RemoteOptions) {
    let url: URL;
    try {
      url = new URL(options.url);
      if (url.protocol !== "https:" && url.protocol !== "http:") throw new Error();
    } catch {
      throw new TypeError(`ipwarden: url is ${JSON.stringify(options.url)}: give the base of ipwarden's addresses, such as https://ipwarden.example.org`);
    }
    this.#url = url.href.replace(/\/*$/, "/v1/decide");
    this.#o = options;
  }

  async decide(facts: Facts, _context: Context, _route: Route): Promise<Verdict> {
    return (await this.#ask(facts)).verdict;
  }

  /** Asks. Rejects whatever is no answer of an ipwarden. */
  async #ask(facts: Facts): Promise<Answer> {
    const headers: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
    for (const [name, value] of facts.headers) (headers[name.toLowerCase()] ??= []).push(value);
    const body = JSON.stringify({
      ip: facts.address, method: facts.method, scheme: facts.scheme, host: facts.host, path: facts.path, headers,
      ...(facts.account && { account: facts.account }),
    });
    // Who sends more than can be judged must not get by through the fail mode.
    if (new TextEncoder().encode(body).length > maxQuestion) throw new Refuse(431, "too_large");
    const cut = new AbortController();
    const timer = setTimeout(() => cut.abort(), patience);
    try {
      const res = await (this.#o.fetch ?? ((u, i) => fetch(u, i)))(this.#url, {
        method: "POST", body, redirect: "manual", signal: cut.signal,
        headers: { "content-type": "application/json", authorization: `Bearer ${this.#o.token}` },
      });
      if (res.status !== 200) {
        void res.body?.cancel();
        throw new Error(`ipwarden answered ${res.status}`);
      }
      return readAnswer(await readBody(res, cut.signal));
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Reads a body of at most maxAnswer bytes. */
async function readBody(res: Response, signal: AbortSignal): Promise<string> {
  if (!res.body) throw new Error("ipwarden answered nothing");
  const reader = res.body.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", stop);
  const parts: Uint8Array[] = [];
  for (let n = 0; ; ) {
    const { done, value } = await reader.read();
    if (signal.aborted) throw new Error("ipwarden's answer takes too long");
    if (done) break;
    parts.push(value);
    if ((n += value.length) > maxAnswer) {
      stop();
      throw new Error(`ipwarden's answer is longer than ${maxAnswer} bytes`);
    }
  }
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(all);
}
