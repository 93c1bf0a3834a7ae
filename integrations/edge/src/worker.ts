// What the project of `ipwarden edge build` runs on: scripts/edge makes one module of it.
export { protect, pages } from "./cloudflare.js";
export { Clearances } from "./clearance.js";
export { Gate } from "./gate.js";
export { Local } from "./local.js";
export { Remote } from "./remote.js";
