// A process of its own that asks for one list again and again, as fast as it is answered, until it is killed:
// node call-in-a-loop.ts SOCKET METHOD.

import { RuntimeServiceService } from "../../src/gen/runtime/v1/api.ts";
import { CriClient } from "../subjects/cri-client.ts";

const [socket = "", method = ""] = process.argv.slice(2);
const client = new CriClient(socket);
const definition = RuntimeServiceService[method as "listContainers"];
for (;;) {
  await client.call({ ...definition, responseDeserialize: (bytes: Buffer) => bytes }, { filter: undefined });
}
