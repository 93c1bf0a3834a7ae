// What is wrong with somebody's options, all of it at once.

/** Mistakes of options. */
export class Mistakes {
  readonly #all: string[] = [];

  /** Notes one, unless it is ok: give is what would be right. value is left out of what is secret. */
  must(ok: unknown, name: string, give: string, value?: unknown): void {
    if (!ok) this.#all.push(`${name} is ${value === undefined ? "missing or wrong" : JSON.stringify(value)}: give ${give}`);
  }

  /** Throws a TypeError that names every one, if there are any. */
  end(): void {
    if (this.#all.length > 0) throw new TypeError(`ipwarden: ${this.#all.join("; ")}`);
  }
}
