// Lines of a header, and what platforms and browsers put into them.
import type { HeaderLine } from "./types.js";

/** The values of a field, of which name is the lower case, in their order. */
export function valuesOf(headers: HeaderLine[], name: string): string[] {
  return headers.filter(([n]) => n.toLowerCase() === name).map(([, v]) => v);
}

/** The cookies as they came, such as a=b. */
export function cookiesOf(headers: HeaderLine[]): string[] {
  return valuesOf(headers, "cookie").flatMap((line) => line.split(";").map(trim));
}

/**
 * A text without the spaces and tabs at its ends (OWS, RFC 9110 section 5.6.3), no others:
 * it is as the gate reads it. And in one pass: an expression for the end looks at each
 * run of spaces as often as that is long, which a client could make seconds of.
 */
export function trim(text: string): string {
  let from = 0, to = text.length;
  const blank = (at: number) => text[at] === " " || text[at] === "\t";
  while (from < to && blank(from)) from++;
  while (from < to && blank(to - 1)) to--;
  return text.slice(from, to);
}

/**
 * A Host field without its port and the dot of the root, in lower case. What stands behind
 * a colon is the port whatever it is, as applications have it: no client makes its host another by it.
 */
export function hostOf(field: string): string {
  return field.replace(/^(\[[^\]]*\]|[^:]*)[^]*$/, "$1").replace(/\.$/, "").toLowerCase();
}

const decodes = (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === "Cloudflare-Workers";

/** A value of the platform's Headers, each character a byte, as the Fetch standard has it. Cloudflare's Workers read UTF-8 instead. */
export function bytesOf(value: string): string {
  if (!decodes || !/[^\0-\x7f]/.test(value)) return value;
  return latin(utf8(value));
}

/** The text of a value whose characters are bytes of UTF-8; another as it is. */
export function textOf(value: string): string {
  if (!/[^\0-\x7f]/.test(value) || /[^\0-\xff]/.test(value)) return value;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(value, (c) => c.charCodeAt(0)));
  } catch {
    return value;
  }
}

/** What is before the query of a target, and what is behind the mark. */
export function halves(target: string): [path: string, query: string] {
  const at = (target + "?").indexOf("?");
  return [target.slice(0, at), target.slice(at + 1)];
}

/** Bytes as the characters of their numbers. */
export function latin(b: Uint8Array): string {
  let out = "";
  for (const c of b) out += String.fromCharCode(c);
  return out;
}

/** Base64url without padding (RFC 4648 section 5). */
export function base64url(b: Uint8Array): string {
  return btoa(latin(b)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

/** The bytes of a text in UTF-8. */
export const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** What p comes to, or an Error when that takes too long: then late is called. */
export async function inTime<T>(p: Promise<T>, milliseconds: number, late = () => {}): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  p.catch(() => {}); // it may fail after it was given up
  try {
    return await Promise.race([p, new Promise<never>((_, no) => {
      timer = setTimeout(() => {
        no(new Error(`nothing came in ${milliseconds} ms`));
        late();
      }, milliseconds);
    })]);
  } finally {
    clearTimeout(timer);
  }
}
