/** Jobs performed one after the other, in the order of asking. */

interface Job {
  readonly name: string;
  readonly run: () => Promise<void>;
  readonly done: PromiseWithResolvers<void>;
}

/** A queue with one loop, which is its only reader. */
export class JobQueue {
  readonly #jobs: Job[] = [];
  #wake: (() => void) | undefined;

  /** Adds a job. Settles as the job does; a failure that nobody waits for is told to the loop's caller alone. */
  add(name: string, run: () => Promise<void>): Promise<void> {
    const done = Promise.withResolvers<void>();
    done.promise.catch(() => {});
    this.#jobs.push({ name, run, done });
    this.#wake?.();
    return done.promise;
  }

  /** True while a job of this name waits. */
  has(name: string): boolean {
    return this.#jobs.some((job) => job.name === name);
  }

  /**
   * Performs jobs until `over` says that there are to be no more; what is left then fails with `reason`.
   *
   * @param failed Hears of every job that fails.
   */
  async run(
    over: () => boolean,
    failed: (name: string, error: unknown) => void,
    reason: () => Error,
  ): Promise<void> {
    while (!over()) {
      const job = this.#jobs.shift();
      if (job === undefined) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = undefined;
        continue;
      }
      try {
        await job.run();
        job.done.resolve();
      } catch (error) {
        failed(job.name, error);
        job.done.reject(error);
      }
    }
    for (const { done } of this.#jobs.splice(0)) done.reject(reason());
  }
}
