// What of a request an answer depends on, as the server says it.
import { network, parse, parseNetwork, within } from "./address.js";
import { cookiesOf, halves, trim, valuesOf } from "./lines.js";
import type { Facts } from "./types.js";

/** A path that all servers read as it is written, as policy.Paths.Plain has it. */
function plain(path: string, fold: boolean): boolean {
  return /^\/[!-~]*$/.test(path) && path.length <= 8192 && !/[%\\;#?]|\/\/|\/\.\.?(\/|$)/.test(path) && !(fold && /[A-Z]/.test(path));
}

/** What a policy may read: method, path, path^/api, header:user-agent. */
const known = /^(account|host|method|path|query|scheme)()()$|^(path)(:)fold$|^(path)([=^$*])([^]*)$|^(header|cookie)(:)(.+)$/;

/** The reads of a policy. */
export class Shape {
  /** Tells this shape from others. */
  readonly text: string;

  readonly #reads: string[][];

  private constructor(readonly reads: string[]) {
    this.text = JSON.stringify(reads);
    this.#reads = reads.map((r) => known.exec(r)!.slice(1).filter((g) => g !== undefined));
  }

  /** null: there is a word that this version does not know. */
  static of(reads: string[]): Shape | null {
    return reads.every((r) => typeof r === "string" && known.test(r)) ? new Shape(reads) : null;
  }

  /** What requests that are answered alike agree in. */
  values(facts: Facts): string {
    const [path, query] = halves(facts.path);
    const isPlain = plain(path, this.reads.includes("path:fold"));
    const value = ([kind, mark, rest = ""]: string[]): unknown => {
      if (kind === "header") return valuesOf(facts.headers, rest);
      if (kind === "cookie") return cookiesOf(facts.headers).filter((c) => /=/.test(c) && trim(c.split("=", 1)[0]!) === rest).map((c) => trim(c.slice(c.indexOf("=") + 1)));
      if (kind === "query") return query;
      if (kind !== "path") return facts[kind as "host"];
      if (!mark) return path;
      return isPlain && (mark === "=" ? path === rest : mark === "^" ? path.startsWith(rest) : mark === "$" ? path.endsWith(rest) : mark === "*" && path.includes(rest));
    };
    return JSON.stringify([isPlain || path, this.#reads.map(value), Object.entries(facts.account ?? {}).sort()]); // what can be read in two ways counts whole
  }
}

// Answers are kept under networks of these lengths: each is read under all of them.
const lengths: Record<number, number[]> = { 4: [32, 24], 16: [128, 64, 48] };

/** The networks under which an address is looked up, the smallest first. */
export function buckets(address: string): string[] {
  const bits = parse(address);
  return bits ? lengths[bits.length]!.map((n) => network(bits, n)) : [];
}

/** The largest of them in a network; the address alone for what is no network of it. */
export function bucketIn(address: string, net: string | undefined): string {
  const bits = parse(address)!, n = parseNetwork(net ?? "");
  const most = n && within(bits, n) ? n[1] : 128;
  return buckets(address).filter((b) => parseNetwork(b)![1] >= most).pop() ?? buckets(address)[0]!;
}

/** Whether an address is in a network, or is all there is of it. */
export function covers(net: string | undefined, address: string, bucket: string): boolean {
  const n = parseNetwork(net || bucket), bits = parse(address);
  return !!n && !!bits && within(bits, n) && (!!net || n[1] === 8 * bits.length);
}
