// Durations by what was measured and whom.

export class Samples {
  readonly #values = new Map<string, number[]>();

  add(subject: string, work: string, milliseconds: number): void {
    const key = `${subject}\0${work}`;
    const values = this.#values.get(key);
    if (values === undefined) this.#values.set(key, [milliseconds]);
    else values.push(milliseconds);
  }

  /** Runs `step`, adds its duration, and returns what it returned. A failure adds nothing. */
  async time<T>(subject: string, work: string, step: () => Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await step();
    this.add(subject, work, performance.now() - started);
    return result;
  }

  /** Undefined when nothing was measured. */
  quantile(subject: string, work: string, share: number): number | undefined {
    const values = this.#values.get(`${subject}\0${work}`)?.toSorted((left, right) => left - right);
    if (values === undefined) return undefined;
    return values[Math.min(values.length - 1, Math.ceil(share * values.length) - 1)];
  }

  median(subject: string, work: string): number | undefined {
    const values = this.#values.get(`${subject}\0${work}`)?.toSorted((left, right) => left - right);
    if (values === undefined) return undefined;
    const middle = values.length >> 1;
    return values.length % 2 === 1 ? values[middle] : ((values[middle - 1] ?? 0) + (values[middle] ?? 0)) / 2;
  }
}
