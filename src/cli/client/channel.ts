// A small gRPC client: one HTTP/2 connection over the daemon's unix socket. It exists because a full
// client library takes longer to load than most commands take to run.

import { type ClientHttp2Session, connect, constants } from "node:http2";
import { createConnection, type Socket } from "node:net";
import { RpcCall } from "./call.ts";
import type { Method } from "./methods.ts";
import { RpcError } from "./rpc-error.ts";

/** Flow-control window: what may be under way unread, per stream and in all. */
const WINDOW = 1024 * 1024;

export class Channel {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
    // Each stream tells of it; without a listener it would end the process.
    session.on("error", () => {});
  }

  /**
   * Connects to the daemon that listens at `path`.
   *
   * @throws RpcError UNAVAILABLE, with what to do
   */
  static async open(path: string): Promise<Channel> {
    const socket = await connectSocket(path);
    const session = connect("http://localhost", {
      createConnection: () => socket,
      settings: { initialWindowSize: WINDOW, enablePush: false },
    });
    session.once("connect", () => session.setLocalWindowSize(4 * WINDOW));
    return new Channel(session);
  }

  /** Begins a call. Its requests are to be written and ended by the caller. */
  call<Request, Response>(method: Method<Request, Response>): RpcCall<Request, Response> {
    const stream = this.#session.request(
      {
        [constants.HTTP2_HEADER_METHOD]: "POST",
        [constants.HTTP2_HEADER_PATH]: method.path,
        [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
        [constants.HTTP2_HEADER_TE]: "trailers",
      },
      { endStream: false },
    );
    return new RpcCall(stream, method);
  }

  /** One request, one answer. @throws RpcError */
  async unary<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    let answer: Response | undefined;
    for await (const response of this.stream(method, request)) answer = response;
    if (answer === undefined) throw new RpcError("INTERNAL", `${method.path}: the daemon gave no answer`);
    return answer;
  }

  /** One request, any number of answers. @throws RpcError */
  stream<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
  ): AsyncGenerator<Response, void, undefined> {
    const call = this.call(method);
    call.write(request);
    call.end();
    return call.responses();
  }

  close(): void {
    this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
  }
}

function connectSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    const failed = (error: NodeJS.ErrnoException) =>
      reject(new RpcError("UNAVAILABLE", explain(path, error.code ?? error.message)));
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      resolve(socket);
    });
  });
}

function explain(path: string, cause: string): string {
  if (cause === "EACCES" || cause === "EPERM") {
    return `cannot connect to berthd at "${path}": permission denied: run as root, or join the group "berth"`;
  }
  return (
    `cannot connect to berthd at "${path}" (${cause}): is it running? ` +
    'start it with "systemctl start berthd" or "sudo berthd"'
  );
}
