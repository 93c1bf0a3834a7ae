// Cloudflare Workers and Pages that ask an ipwarden.
import { cacheStore, kvStore } from "./cache.js";
import { Remote } from "./remote.js";
import { pagesBy, protectBy, type Env, type Make, type Options, type Page, type Worker } from "./serve.js";

export { clientAddress, type Env, type Options, type Page, type PagesContext, type Worker } from "./serve.js";

/** A Remote of an environment. */
export function remote(env: Env): Remote {
  const { IPWARDEN_URL: url = "", IPWARDEN_TOKEN: token = "", IPWARDEN_KV: kv } = env;
  const cache = (globalThis as { caches?: { default?: Cache } }).caches?.default;
  const store = kv ? kvStore(kv) : cache && cacheStore(cache);
  return new Remote({ url, token, ...(store && { store }) });
}

const asks: Make = (env, options) => ({ ...options, decider: options.decider ?? remote(env) });

/**
 * A Worker that stands in front of the origin, or of options.next. What is not said in
 * the options comes from the environment (Env). A Worker that is configured wrongly
 * answers 500 and lets nothing through.
 *
 *     export default protect();
 */
export const protect = <E extends Env>(options?: Options<E>): Worker<E> => protectBy(asks, options);

/**
 * A Pages function in front of a site: functions/_middleware.js
 *
 *     export const onRequest = pages();
 */
export const pages = <E extends Env>(options?: Omit<Options<E>, "next">): Page<E> => pagesBy(asks, options);
