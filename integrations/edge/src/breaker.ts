// A breaker: who does not answer, or too late, is left alone for a while.

const last = 20; // questions that count
const most = 5; // failures among them, if they are half of them

/**
 * Opens when half of the last questions failed or came too late, at least five; then
 * lets one through after a second, two, four, at most thirty, and closes when it is
 * answered in time.
 */
export class Breaker {
  #failed: boolean[] = [];
  #wait = 0;
  #until = 0;
  #probing = 0;

  /** Whether a question may be asked now; who may says with done what came of it. */
  may(now: number): boolean {
    if (this.#wait === 0) return true;
    if (now < this.#until || now < this.#probing) return false;
    this.#probing = now + 5000; // one at a time; one that is never heard of again is not waited for
    return true;
  }

  /** Whether it is open. */
  get open(): boolean {
    return this.#wait > 0;
  }

  done(ok: boolean, now: number): void {
    if (this.#wait > 0) {
      this.#probing = 0;
      if (ok) {
        this.#wait = 0;
        this.#failed = [];
      } else if (now >= this.#until) {
        this.#wait = Math.min(2 * this.#wait, 30_000);
        this.#until = now + this.#wait;
      }
      return;
    }
    this.#failed.push(!ok);
    if (this.#failed.length > last) this.#failed.shift();
    const n = this.#failed.filter(Boolean).length;
    if (n >= most && 2 * n >= this.#failed.length) {
      this.#wait = 1000;
      this.#until = now + this.#wait;
    }
  }
}
