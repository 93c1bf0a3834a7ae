// What of a request an answer depends on, as the server says it.
import { format, network, parse, within } from "./address.js";
import { trim } from "./headers.js";
import type { Facts } from "./types.js";

/** A path that all servers read as it is written, as policy.Paths.Plain has it. */
function plain(path: string, fold: boolean): boolean {
  return /^\/[!-~]*$/.test(path) && path.length <= 8192 && !/[%\\;#?]|\/\/|\/\.\.?(\/|$)/.test(path) && !(fold && /[A-Z]/.test(path));
}

const tests: Record<string, (path: string, text: string) => boolean> = {
  "=": (p, t) => p === t,
  "^": (p, t) => p.startsWith(t),
  $: (p, t) => p.endsWith(t),
  "*": (p, t) => p.includes(t),
};

/** All values of a field as one text; null: it is not there. */
function header(facts: Facts, name: string): string[] | null {
  const values = facts.headers.filter(([n]) => n.toLowerCase() === name).map(([, v]) => v);
  return values.length > 0 ? values : null;
}

/** All values of a cookie. */
function cookie(facts: Facts, name: string): string[] {
  const out: string[] = [];
  for (const line of header(facts, "cookie") ?? []) {
    for (const pair of line.split(";")) {
      const at = pair.indexOf("=");
      if (at >= 0 && trim(pair.slice(0, at)) === name) out.push(trim(pair.slice(at + 1)));
    }
  }
  return out;
}

/** The reads of a policy. */
export class Shape {
  /** Tells this shape from others. */
  readonly text: string;

  private constructor(readonly reads: string[]) {
    this.text = JSON.stringify(reads);
  }

  /** null: there is a word that this version does not know. */
  static of(reads: string[]): Shape | null {
    const known = /^(account|host|method|path|path:fold|query|scheme|path[=^$*][^]*|header:.+|cookie:.+)$/;
    return reads.every((r) => known.test(r)) ? new Shape(reads) : null;
  }

  /** What requests that are answered alike agree in. */
  values(facts: Facts): string {
    const q = facts.path.indexOf("?");
    const path = q < 0 ? facts.path : facts.path.slice(0, q);
    const isPlain = plain(path, this.reads.includes("path:fold"));
    const out: unknown[] = [isPlain ? 0 : path]; // what can be read in two ways counts whole
    for (const r of this.reads) {
      if (r === "method") out.push(facts.method);
      else if (r === "host") out.push(facts.host);
      else if (r === "scheme") out.push(facts.scheme);
      else if (r === "query") out.push(q < 0 ? "" : facts.path.slice(q + 1));
      else if (r === "path") out.push(path);
      else if (r.startsWith("header:")) out.push(header(facts, r.slice(7)));
      else if (r.startsWith("cookie:")) out.push(cookie(facts, r.slice(7)));
      else if (isPlain && tests[r[4]!]) out.push(tests[r[4]!]!(path, r.slice(5)) ? 1 : 0);
    }
    if (facts.account) out.push(Object.entries(facts.account).sort(([a], [b]) => (a < b ? -1 : 1)));
    return JSON.stringify(out);
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
  const bits = parse(address)!;
  const all = lengths[bits.length]!;
  const most = net && within(bits, net) ? +net.slice(net.indexOf("/") + 1) : all[0]!;
  return network(bits, all.filter((n) => n >= most).pop() ?? all[0]!);
}

/** Whether an address is in a network, or is all there is of it. */
export function covers(net: string | undefined, address: string, bucket: string): boolean {
  const bits = parse(address);
  return bits !== null && (net ? within(bits, net) : bucket === `${format(bits)}/${8 * bits.length}`);
}
