// The streams of a process, as a test plays it.

import type { StreamSession } from "../../../src/monitor/monitor.ts";

/** A process that does what a test tells it, and notes what is done to it. */
export class NotingSession implements StreamSession {
  onStdout: ((chunk: Buffer) => void) | undefined;
  onStderr: ((chunk: Buffer) => void) | undefined;
  onDrain: (() => void) | undefined;
  stdinBlocked = false;
  readonly log: string[] = [];
  readonly written: Buffer[] = [];
  exit: (exit: { exitCode: number; signal: number }) => void = () => {};
  fail: (error: Error) => void = () => {};
  readonly exited = new Promise<{ exitCode: number; signal: number }>((resolve, reject) => {
    this.exit = resolve;
    this.fail = reject;
  });
  readonly started = Promise.resolve({ pid: 7, startTime: 1 });
  onEvent: (event: string) => void = () => {};

  writeStdin(chunk: Uint8Array): void {
    this.written.push(Buffer.from(chunk));
    this.note("stdin");
  }
  closeStdin(): void {
    this.note("closeStdin");
  }
  resize(rows: number, columns: number): void {
    this.note(`resize ${rows}x${columns}`);
  }
  pause(): void {
    this.note("pause");
  }
  resume(): void {
    this.note("resume");
  }
  close(): void {
    this.note("close");
  }
  until(event: string): Promise<void> {
    if (this.log.includes(event)) return Promise.resolve();
    return new Promise((resolve) => {
      const before = this.onEvent;
      this.onEvent = (seen) => {
        before(seen);
        if (seen === event) resolve();
      };
    });
  }
  private note(event: string): void {
    this.log.push(event);
    this.onEvent(event);
  }
}
