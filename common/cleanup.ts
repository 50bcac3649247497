/** Undo for work in several steps: last in, first out, once, to the end, whatever fails on the way. */

/** One step of undoing. */
export type Undo = () => void | Promise<void>;

/**
 * A stack of undo steps. `run()` performs all of them in reverse order exactly once, goes on when one fails
 * and throws what failed, joined. A step added after `run()` is performed at once. `keep()` forgets them.
 *
 * @example
 * ```ts
 * await using undo = new CleanupStack();
 * const slot = await slots.claim();
 * undo.add(() => slots.release(slot));
 * undo.keep(); // it worked: nothing to undo
 * ```
 */
export class CleanupStack implements AsyncDisposable {
  #steps: { name: string; undo: Undo }[] = [];
  #running: Promise<void> | undefined;

  /** Adds a step; `name` shows in the error when it fails. */
  add(undo: Undo, name: string = "step"): void {
    if (this.#running) this.#running = this.#running.then(() => perform([{ name, undo }]));
    else this.#steps.push({ name, undo });
  }

  /** Forgets every step: the work succeeded and its results are owned elsewhere. */
  keep(): void {
    this.#steps = [];
  }

  /** Moves the steps into a new stack, leaving this one empty. */
  move(): CleanupStack {
    const next = new CleanupStack();
    next.#steps = this.#steps;
    this.#steps = [];
    return next;
  }

  /** Performs all steps once, newest first. */
  run(): Promise<void> {
    this.#running ??= perform(this.#steps.splice(0).reverse());
    return this.#running;
  }

  /** Same as {@linkcode run}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.run();
  }
}

async function perform(steps: { name: string; undo: Undo }[]): Promise<void> {
  const errors: unknown[] = [];
  for (const { name, undo } of steps) {
    try {
      await undo();
    } catch (cause) {
      errors.push(new Error(`Cannot undo '${name}'`, { cause }));
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, "Cannot undo several steps");
}
