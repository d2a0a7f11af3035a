// Generated services, some methods of which answer with bytes that are encoded already (see encode-list.ts).

import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
} from "@grpc/grpc-js";

/** `method` with answers that are bytes. */
export function encoded<Method extends object>(method: Method) {
  return { ...method, responseSerialize: (answer: Buffer) => answer };
}

/** Handlers of every method of a service definition, such as ts-proto generates. */
export type Handlers<Definition> = {
  readonly [Name in keyof Definition]: Definition[Name] extends {
    requestDeserialize: (bytes: Buffer) => infer Request;
    responseSerialize: (answer: infer Answer) => Buffer;
    requestStream: infer Asks;
    responseStream: infer Answers;
  }
    ? Handler<Request, Answer, Asks, Answers>
    : never;
};

type Handler<Request, Answer, Asks, Answers> = Asks extends true
  ? Answers extends true
    ? handleBidiStreamingCall<Request, Answer>
    : handleClientStreamingCall<Request, Answer>
  : Answers extends true
    ? handleServerStreamingCall<Request, Answer>
    : handleUnaryCall<Request, Answer>;
