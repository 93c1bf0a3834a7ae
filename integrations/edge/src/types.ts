// The words of the package: what is asked, what is answered, and what an adapter
// makes of it.

/** One line of a header, as it came: repeated names are repeated lines. */
export type HeaderLine = [name: string, value: string];

/** A request as an adapter saw it, without anything of the platform. */
export interface Facts {
  /**
   * The client's address in canonical text (see canonical of address.ts), from the
   * platform's own source. null: the platform did not say, or what it said is none.
   */
  address: string | null;
  /** As it came, such as GET. */
  method: string;
  /** http or https. */
  scheme: string;
  /** In lower case, without port. */
  host: string;
  /** The raw path with its query, such as /a%20b?c=d. Begins with a slash. */
  path: string;
  /** All lines, those of the platform among them. Of a value each character is a byte, as Node has it. */
  headers: HeaderLine[];
  /** What the policy calls account.*: opaque texts of the application. */
  account?: Record<string, string>;
}

/** What is to be done with a request, from mild to severe. */
export type VerdictName = "allow" | "flag" | "throttle" | "challenge" | "step_up" | "block";

/** The state of one limit, as /v1/decide has it. Times are whole seconds. */
export interface LimitState {
  name: string;
  limit: number;
  remaining: number;
  window: number;
  reset: number;
  allowed: boolean;
}

/** A decision, whoever made it. */
export interface Verdict {
  verdict: VerdictName;
  /** Whether the request goes on. */
  passes: boolean;
  /** What the client is answered when it does not: 302 and its like, 400, 403, 429, 503; else 0. */
  status: number;
  /** Seconds until a refused client may come again; 0: unknown. */
  retryAfter: number;
  /** Where the client is sent; "": nowhere. */
  location: string;
  /** A reason of the policy, such as rule, limit, fail_closed. */
  reason: string;
  /** The rule, list or limit that decided; "": none. */
  by: string;
  /** The tier; "": none. */
  tier: string;
  /** The id of the decision, 26 characters; "": a local one. */
  decision: string;
  /** ISO 3166-1 alpha-2; "": unknown. */
  country: string;
  /** 0: unknown. */
  asn: number;
  /** Names of traits as the gate's headers have them: vpn, hosting. */
  traits: string[];
  /** 0 to 100. */
  risk: number;
  tags: string[];
  /** A fail mode or local counts stood in for something that was away. */
  degraded: boolean;
  /** Limits that the client is told of. */
  limits?: LimitState[];
  /** The network for which it holds, such as 203.0.113.0/24; absent: the address alone. */
  network?: string;
}

/** What a platform lets a handler do after it has answered. */
export interface Context {
  /** Keeps the isolate alive until p has ended. */
  waitUntil(p: Promise<unknown>): void;
  /** The highest risk up to which a clearance of the request holds, -1: none. A gate with clearances says it to its decider. */
  cleared?(facts: Facts): Promise<number>;
}

/**
 * A Decider says what to do: Remote asks /v1/decide, Local runs the policy. It may
 * throw: the gate turns that into the route's fail mode. It does not keep facts.
 */
export interface Decider {
  decide(facts: Facts, context: Context, route: FullRoute): Verdict | Promise<Verdict>;
}

/**
 * What becomes of a request that cannot be judged: "open" lets it in, "closed"
 * refuses it with 503, "safe" lets in as many of one network as the safe tier's limit
 * says, counted in this location's memory.
 */
export type FailMode = "open" | "closed" | "safe";

/** How requests of some paths are treated. The first that matches counts. */
export interface Route {
  /** A host in lower case, or *.example.org for those below one; absent: every one. */
  host?: string;
  /** A method in capital letters; absent: every one. */
  method?: string;
  /** A path without query, or the beginning of one with a * at its end: /login, /api/*. Absent: every one. */
  path?: string;
  /** Default: that of the gate. */
  fail?: FailMode;
  /** Milliseconds for a decision, 1 to 10000. Default: that of the gate. */
  budget?: number;
  /**
   * "wait": the first request of a network waits for the answer. "pass": it goes by the
   * fail mode while the question is asked behind it; where each request is asked about, as
   * where limits count, the others wait. Default: that of the gate.
   */
  first?: "wait" | "pass";
}

/** A route with what the gate says of all. */
export type FullRoute = Route & Required<Pick<Route, "fail" | "budget" | "first">>;

/** What comes of a request. An adapter turns it into its platform's answer. */
export type Outcome =
  | {
      pass: true;
      verdict: Verdict;
      /** Lines for the origin. They replace what has their name. */
      set: HeaderLine[];
      /** Whether a line of the request must not reach the origin; any case. */
      remove(name: string): boolean;
      /** Lines for the client's answer, whatever the origin says. */
      reply: HeaderLine[];
    }
  | {
      pass: false;
      verdict: Verdict;
      status: number;
      headers: HeaderLine[];
      /** "" for a redirect, and for HEAD. */
      body: string;
    };
