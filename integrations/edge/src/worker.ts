// What the project of `ipwarden edge build` runs on: scripts/worker.mjs makes one module of
// it. It goes with the engine that it drives, and not into the package.
import { Clearances } from "./clearance.js";
import { pagesBy, protectBy, type Env, type Make, type Options, type Page, type Worker } from "./serve.js";
import type { GateOptions } from "./gate.js";

export { Clearances } from "./clearance.js";
export { Gate } from "./gate.js";
export { Local } from "./local.js";

// Who decides is in the options; who has a clearance is known with the key.
const decides: Make = (env, options) => {
  const key = env.IPWARDEN_CHALLENGE_KEY;
  return { ...(key && { clearances: new Clearances({ key }) }), ...(options as GateOptions) };
};

/** As protect of cloudflare.ts, with a decider of one's own, and clearances where the environment has the key. */
export const protect = <E extends Env>(options: Options<E>): Worker<E> => protectBy(decides, options);

/** The same for Pages. */
export const pages = <E extends Env>(options: Omit<Options<E>, "next">): Page<E> => pagesBy(decides, options);
