// One gRPC call on an HTTP/2 stream, whatever its kind: messages in, messages out, a status at the end.

import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { FrameReader, frame } from "./framing.ts";
import type { Method } from "./methods.ts";
import { errorOfTrailers, RpcError } from "./rpc-error.ts";

/** What became of the connection when a stream broke with it. */
export const LOST =
  'the connection to berthd broke before the answer; containers go on running: see "berth ps -a"';

export class RpcCall<Request, Response> {
  readonly #stream: ClientHttp2Stream;
  readonly #method: Method<Request, Response>;
  #trailers: IncomingHttpHeaders | null = null;
  #failure: Error | null = null;
  #cancelled = false;
  readonly #closed: Promise<void>;
  /** Called when there is room for more after `write` returned false. */
  onDrain: (() => void) | undefined;

  constructor(stream: ClientHttp2Stream, method: Method<Request, Response>) {
    this.#stream = stream;
    this.#method = method;
    stream.on("response", (headers) => {
      if (headers["grpc-status"] !== undefined) this.#trailers = headers;
      else if (headers[":status"] !== 200) {
        this.#failure = new RpcError(
          "UNAVAILABLE",
          `what answers is no berthd: HTTP status ${headers[":status"]}`,
        );
      }
    });
    stream.on("trailers", (trailers) => {
      this.#trailers = trailers;
    });
    stream.on("error", (error) => {
      this.#failure ??= error;
    });
    stream.on("drain", () => this.onDrain?.());
    this.#closed = new Promise((resolve) => stream.once("close", resolve));
  }

  /** Sends one message. False: wait for onDrain before the next one. After the end it does nothing. */
  write(message: Request): boolean {
    if (this.#stream.writableEnded || this.#stream.destroyed) return true;
    return this.#stream.write(frame(this.#method.encode(message)));
  }

  /** Resolves when there is room for more, or when the call is over and nothing is sent any more. */
  drained(): Promise<void> {
    if (this.#stream.destroyed || !this.#stream.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const go = () => {
        this.#stream.off("drain", go);
        this.#stream.off("close", go);
        resolve();
      };
      this.#stream.on("drain", go);
      this.#stream.on("close", go);
    });
  }

  /** No more messages follow. */
  end(): void {
    if (!this.#stream.destroyed) this.#stream.end();
  }

  /** Tells the daemon that nobody listens any more. */
  cancel(): void {
    this.#cancelled = true;
    this.#stream.close(0x8 /* CANCEL */);
  }

  /**
   * The answers, as they are taken: one who does not take them slows the daemon down.
   *
   * @throws RpcError when the call ends with another status than OK. A cancelled call just ends.
   */
  async *responses(): AsyncGenerator<Response, void, undefined> {
    const reader = new FrameReader();
    try {
      for await (const chunk of this.#stream) {
        for (const message of reader.push(chunk as Buffer)) yield this.#method.decode(message);
      }
    } catch (error) {
      if (error instanceof RpcError) {
        this.cancel();
        throw error;
      }
      this.#failure ??= error as Error;
    }
    // The daemon has said everything; requests that are still on their way concern nobody.
    if (!this.#stream.closed) this.#stream.close();
    await this.#closed;
    const error = this.#verdict(reader.unfinished);
    if (error !== null) throw error;
  }

  #verdict(unfinished: boolean): RpcError | null {
    if (this.#cancelled) return null;
    if (this.#trailers !== null) return errorOfTrailers(this.#trailers) ?? (unfinished ? truncated() : null);
    if (this.#failure instanceof RpcError) return this.#failure;
    return new RpcError("UNAVAILABLE", LOST);
  }
}

function truncated(): RpcError {
  return new RpcError("DATA_LOSS", "the daemon's last message is incomplete");
}
