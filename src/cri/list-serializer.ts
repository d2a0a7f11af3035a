// The answers of the List calls as bytes. What did not change since the last list is the same object again
// (see Remembered) and is not encoded anew.

import { BinaryWriter } from "@bufbuild/protobuf/wire";
import * as proto from "../gen/runtime/v1/api.ts";

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
}

/** Of a message whose only field is number 1, a list of messages. */
function listSerializer<Answer, Item extends object>(
  codec: Codec<Item>,
  itemsOf: (answer: Answer) => readonly Item[],
): (answer: Answer) => Buffer {
  const TAG = (1 << 3) | 2;
  const encoded = new WeakMap<Item, Uint8Array>();
  const piece = (item: Item): Uint8Array => {
    const known = encoded.get(item);
    if (known !== undefined) return known;
    const bytes = new BinaryWriter().uint32(TAG).bytes(codec.encode(item).finish()).finish();
    encoded.set(item, bytes);
    return bytes;
  };
  return (answer) => Buffer.concat(itemsOf(answer).map(piece));
}

const serializeContainers = listSerializer(
  proto.Container,
  ({ containers }: { containers: proto.Container[] }) => containers,
);
const serializePods = listSerializer(proto.PodSandbox, ({ items }: { items: proto.PodSandbox[] }) => items);

const { listContainers, streamContainers, listPodSandbox } = proto.RuntimeServiceService;

/** RuntimeService with quick lists. */
export const runtimeServiceDefinition: typeof proto.RuntimeServiceService = {
  ...proto.RuntimeServiceService,
  listContainers: { ...listContainers, responseSerialize: serializeContainers },
  streamContainers: { ...streamContainers, responseSerialize: serializeContainers },
  listPodSandbox: { ...listPodSandbox, responseSerialize: serializePods },
};

/** One message per key object, made anew when what it is made of differs. */
export class Remembered<Key extends object, Message> {
  readonly #messages = new WeakMap<Key, { made: string; message: Message }>();

  get(key: Key, madeOf: string, make: () => Message): Message {
    const known = this.#messages.get(key);
    if (known !== undefined && known.made === madeOf) return known.message;
    const message = make();
    this.#messages.set(key, { made: madeOf, message });
    return message;
  }
}
