// The same for projects that ask a gate about what the policy lets in.
export * from "./worker.js";
export { Remote } from "./remote.js";
