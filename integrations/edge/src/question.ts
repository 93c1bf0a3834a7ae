// One question to /v1/decide, and the bounds of its answer.
import { readAnswer, type Answer } from "./answer.js";
import { base64url, inTime, textOf, utf8 } from "./lines.js";
import { Refuse } from "./refuse.js";
import type { Facts } from "./types.js";

/** How to ask. */
export interface Asking {
  /** Of /v1/decide. */
  url: string;
  token: string;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
}

/** The longest question that the server reads, and the longest answer that is read, bytes. */
const maxQuestion = 64 << 10;
const maxAnswer = 256 << 10; // a place to go to has the question's path and query in it

/** Milliseconds that each of two attempts may take, or the budget: a question goes on behind its request. */
const patience = 1500;

/** The body of a question, under a name of its own. Throws a Refuse when it is too long. */
export function question(facts: Facts): string {
  const headers = Object.create(null) as Record<string, string[]>;
  // What is no name (RFC 9110 section 5.1) no server takes, and JSON may take two for one.
  for (const [name, value] of facts.headers) if (/^[!-~]+$/.test(name)) (headers[name.toLowerCase()] ??= []).push(textOf(value));
  const body = JSON.stringify({
    lease: base64url(crypto.getRandomValues(new Uint8Array(18))),
    ip: facts.address, method: facts.method, scheme: facts.scheme, host: facts.host, path: facts.path, headers,
    ...(facts.account && { account: facts.account }),
  });
  // Who sends more than can be judged must not get by through the fail mode.
  if (utf8(body).length > maxQuestion) throw new Refuse(431, "too_large");
  return body;
}

/**
 * Asks, and a second time under the same name where no answer was heard: it is charged
 * once. Rejects whatever is no answer of an ipwarden.
 */
export async function ask(a: Asking, body: string, budget: number): Promise<{ answer: Answer; text: string }> {
  const most = Math.max(patience, budget);
  try {
    return await once(a, body, most);
  } catch (e) {
    if (e instanceof Wrong || e instanceof Refuse) throw e;
    return once(a, body, most);
  }
}

/** An answer that will not be another one the next time. */
class Wrong extends Error {}

function once(a: Asking, body: string, most: number): Promise<{ answer: Answer; text: string }> {
  const cut = new AbortController();
  return inTime(exchange(a, body, cut.signal), most, () => cut.abort());
}

async function exchange(a: Asking, body: string, signal: AbortSignal): Promise<{ answer: Answer; text: string }> {
  const res = await a.fetch(a.url, {
    method: "POST", body, redirect: "manual", signal,
    headers: { "content-type": "application/json", authorization: `Bearer ${a.token}` },
  });
  if (res.status !== 200) {
    void res.body?.cancel().catch(() => {});
    throw new (res.status < 500 ? Wrong : Error)(`ipwarden answered ${res.status}`);
  }
  const text = await bounded(res);
  try {
    return { answer: readAnswer(text), text };
  } catch (e) {
    throw e instanceof Refuse ? e : new Wrong(`ipwarden's answer cannot be read: ${e}`);
  }
}

/** Reads a body of at most maxAnswer bytes. */
async function bounded(res: Response): Promise<string> {
  const reader = res.body?.getReader();
  const text = new TextDecoder("utf-8", { fatal: true });
  let out = "";
  for (let n = 0; reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if ((n += value.length) > maxAnswer) {
      void reader.cancel().catch(() => {});
      throw new Wrong(`ipwarden's answer is longer than ${maxAnswer} bytes`);
    }
    out += text.decode(value, { stream: true });
  }
  return out + text.decode();
}
