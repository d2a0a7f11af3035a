// The CRI as a kubelet calls it: gRPC over a unix socket, one connection for all calls.

import { Client, credentials, type ServiceError } from "@grpc/grpc-js";

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const DEADLINE_MS = 60_000;

/** One entry of a generated service definition. */
interface Method<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (value: Buffer) => Response;
}

export class CriClient {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    });
  }

  /** Rejects with what the server answered, or after a minute. */
  call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: Response) => {
        if (error === null) resolve(response as Response);
        else reject(new Error(`${method.path}: ${error.message}`));
      };
      const { path, requestSerialize, responseDeserialize } = method;
      const options = { deadline: Date.now() + DEADLINE_MS };
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, options, done);
    });
  }

  close(): void {
    this.#client.close();
  }
}
