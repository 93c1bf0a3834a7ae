// Package @ipwarden/edge stands in front of an origin at an edge platform: it
// refuses a request there, or passes it on with what is known of its client.
export type * from "./types.js";
export { Gate, type Challenges, type GateOptions } from "./gate.js";
export { Refuse } from "./refuse.js";
export { Proxies, type ProxiesOptions } from "./proxies.js";
export { Remote, type RemoteOptions, type Stats } from "./remote.js";
export { cacheStore, kvStore, type KV, type Store } from "./cache.js";
export { canonical } from "./address.js";
export { enrichments, type Enrichment } from "./headers.js";
