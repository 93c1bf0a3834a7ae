// The dataset in a key-value store: a manifest, and chunks that are named for what they
// hold. A new dataset is other chunks, and begins with its manifest.

/** What is needed of a key-value store; Cloudflare's KVNamespace is one. */
export interface KV {
  get(key: string, type: "arrayBuffer"): Promise<ArrayBuffer | null>;
}

/** The key of the manifest. */
export const manifestKey = "ipwarden/manifest";

interface Chunk {
  key: string;
  size: number;
  sha256: string;
}

/** A version of the dataset. */
interface Version {
  version: string;
  needs?: string;
  size: number;
  chunks: Chunk[];
}

/** The most that a dataset, and a chunk, may have, bytes. */
const maxSize = 64 << 20;
const maxChunk = 25 << 20;

/**
 * Loads the dataset of the manifest, or the one before it where a chunk is missing or
 * damaged, or where needs is another: what of addresses the caller's policy reads; "": any.
 * null: it is the version that the caller has. Throws an Error that says what is
 * wrong where nothing can be had.
 */
export async function loadKV(kv: KV, have: string, needs = ""): Promise<{ version: string; chunks: Uint8Array[] } | null> {
  const text = await kv.get(manifestKey, "arrayBuffer");
  if (!text) throw new Error(`the store has no ${manifestKey}; put kv.json of 'ipwarden edge build' into it`);
  const wrong: string[] = [];
  for (const v of versions(text)) {
    if (v.version === have) {
      if (wrong.length > 0) throw new Error(wrong.join("; ")); // the one it has goes on
      return null;
    }
    if (needs && v.needs !== needs) {
      wrong.push(`${v.version} belongs to another policy; put the kv.json into the store that was built with this Worker`);
      continue;
    }
    try {
      const chunks: Uint8Array[] = [];
      for (const c of v.chunks) chunks.push(await chunk(kv, c));
      return { version: v.version, chunks };
    } catch (e) {
      wrong.push(String(e));
    }
  }
  throw new Error(wrong.join("; "));
}

async function chunk(kv: KV, c: Chunk): Promise<Uint8Array> {
  const b = await kv.get(c.key, "arrayBuffer");
  if (!b) throw new Error(`${c.key} is not there`);
  if (b.byteLength !== c.size) throw new Error(`${c.key} has ${b.byteLength} bytes and not ${c.size}`);
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", b));
  if (Array.from(sum, (x) => x.toString(16).padStart(2, "0")).join("") !== c.sha256) throw new Error(`${c.key} is damaged: its checksum does not fit`);
  return new Uint8Array(b);
}

/** The versions of a manifest, the newest first. Throws an Error for what is no manifest. */
function versions(text: ArrayBuffer): Version[] {
  const bad = (what: string) => new Error(`${manifestKey} is none of 'ipwarden edge build': ${what}`);
  if (text.byteLength > 64 << 10) throw bad("it is too long");
  let o: { format?: unknown; versions?: unknown };
  try {
    o = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text)) as typeof o;
  } catch {
    throw bad("it is no JSON");
  }
  if (typeof o !== "object" || o === null || o.format !== 1 || !Array.isArray(o.versions) || o.versions.length < 1 || o.versions.length > 2) throw bad("its format is another");
  for (const v of o.versions as Partial<Version>[]) {
    if (typeof v !== "object" || v === null || typeof v.version !== "string" || !/^[0-9a-f]{16,64}$/.test(v.version) || !Array.isArray(v.chunks) || v.chunks.length < 1 || v.chunks.length > 64) throw bad("a version is none");
    let sum = 0;
    for (const c of v.chunks as Partial<Chunk>[]) {
      if (typeof c !== "object" || c === null || typeof c.key !== "string" || c.key.length > 512 || typeof c.sha256 !== "string" || !(Number.isInteger(c.size) && c.size! > 0 && c.size! <= maxChunk)) throw bad("a chunk is none");
      sum += c.size!;
    }
    if (sum !== v.size || sum > maxSize) throw bad("its sizes do not add up");
  }
  return o.versions as Version[];
}
