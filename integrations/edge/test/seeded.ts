// Random inputs that are the same in every run.

/** A small generator (mulberry32) of numbers and of texts that are nasty in headers. */
export function seeded(seed: number) {
  const next = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number) => Math.floor(next() * n);
  const pick = <T>(all: readonly T[]): T => all[below(all.length)] as T;
  const pieces = ["198.51.100.20", "203.0.113.66", "2001:db8::1", "::ffff:", "127.0.0.1", ",", ", ", ";", "=", "[", "]", ":80", "%eth0", "0", "0x", " ", "\t", "for=", "\"", "\\", "a", "é", "\u00ff", "-", "_", ".", "/", "..", "65536", "ipwarden_clearance="];
  const text = (most: number) => {
    let out = "";
    for (let n = below(8); n >= 0; n--) out += next() < 0.7 ? pick(pieces) : String.fromCharCode(33 + below(94));
    return out.slice(0, most);
  };
  return { next, below, pick, text };
}
