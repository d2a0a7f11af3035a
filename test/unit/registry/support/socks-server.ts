// A SOCKS 5 proxy (RFC 1928, RFC 1929) for which every host is the same port of this machine.

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export interface SocksRequest {
  /** "user:password", or "" when the client showed none. */
  readonly by: string;
  /** "name:port", as the client wrote it. */
  readonly target: string;
}

export class SocksServer {
  readonly requests: SocksRequest[] = [];
  /** "user:password" that a client must show; "" for nobody in particular. */
  credentials = "";
  /** The reply to CONNECT; other than 0: refused. Null: none ever. */
  reply: number | null = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer((socket) => {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    this.#serve(socket).catch(() => socket.destroy());
  });

  /** The port that stands for every host. */
  port = 0;

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(socket: Socket): Promise<void> {
    const take = reader(socket);
    const [, count = 0] = await take(2);
    const methods = await take(count);
    const wanted = this.credentials === "" ? 0 : 2;
    if (!methods.includes(wanted)) return void socket.end(Buffer.from([5, 255]));
    socket.write(Buffer.from([5, wanted]));
    let by = "";
    if (wanted === 2) {
      const [, length = 0] = await take(2);
      const user = (await take(length)).toString();
      by = `${user}:${await take((await take(1))[0] ?? 0)}`;
      socket.write(Buffer.from([1, by === this.credentials ? 0 : 1]));
      if (by !== this.credentials) return void socket.end();
    }
    const [, , , kind] = await take(4);
    const name = await nameFrom(take, kind ?? 0);
    const port = (await take(2)).readUInt16BE();
    this.requests.push({ by, target: `${name}:${port}` });
    if (this.reply === null) return;
    const answer = Buffer.from([5, this.reply, 0, 1, 0, 0, 0, 0, 0, 0]);
    if (this.reply !== 0) return void socket.end(answer);
    const onward = connect(this.port, "127.0.0.1", () => {
      socket.write(answer);
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  }
}

type Take = (size: number) => Promise<Buffer>;

async function nameFrom(take: Take, kind: number): Promise<string> {
  if (kind === 1) return (await take(4)).join(".");
  if (kind === 4) return `[${(await take(16)).toString("hex")}]`;
  return (await take((await take(1))[0] ?? 0)).toString();
}

function reader(socket: Socket): Take {
  return async (size) => {
    for (;;) {
      const bytes = size === 0 ? Buffer.alloc(0) : (socket.read(size) as Buffer | null);
      if (bytes !== null) return bytes;
      await new Promise<void>((resolve, reject) => {
        socket.once("readable", resolve);
        socket.once("close", () => reject(new Error("closed")));
      });
    }
  };
}
