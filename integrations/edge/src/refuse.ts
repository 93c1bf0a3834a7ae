/** What a Decider is not to be asked about, or cannot answer, says so with this. */
export class Refuse extends Error {
  constructor(readonly status: 400 | 431, readonly reason: string) {
    super(reason);
  }
}
