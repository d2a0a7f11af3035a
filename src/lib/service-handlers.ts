// Generated services, some methods of which answer with lists that are encoded already (see encode-list.ts).

import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  ServerInterceptingCall,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import type { EncodedList } from "./encode-list.ts";

/** grpc-js wants nothing of a buffer but what an EncodedList has as well. */
const asItIs = (answer: EncodedList) => answer as unknown as Buffer;

/** `method` with answers that are encoded already. */
export function encoded<Method extends object>(method: Method) {
  return { ...method, responseSerialize: asItIs };
}

/** Gives the memory of encoded answers back when they are sent. For servers that have such methods. */
export const releaseSent: ServerInterceptor = ({ responseSerialize }, call) =>
  // Others are left as they are: grpc-js asks for nothing but this interface.
  responseSerialize === asItIs ? new ReleasingCall(call) : (call as ServerInterceptingCall);

class ReleasingCall extends ServerInterceptingCall {
  override sendMessage(answer: EncodedList, sent: () => void): void {
    // Called only when every byte has left the process: what failed waits for a collection.
    super.sendMessage(answer, () => {
      answer.release();
      sent();
    });
  }
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
