// docker-registry with TLS, passwords and tokens, a token server, and a proxy: all on loopback, all ours.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createSign } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A user that docker-registry knows: bcrypt of the password. */
export const USER = { username: "alice", password: "allmine" };
const HTPASSWD = "alice:$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga\n";

export interface Running {
  /** "127.0.0.1:PORT". */
  readonly host: string;
  stop(): Promise<void>;
}

/** An authority with a certificate for 127.0.0.1 and one for a client, as PEM files in `folder`. */
export function makeCertificates(folder: string): void {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
  const subject = (name: string) => ["-subj", `/CN=${name}`];
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", ...subject("berth test authority"));
  for (const [name, usage] of [
    ["server", "serverAuth"],
    ["client", "clientAuth"],
  ] as const) {
    writeFileSync(join(folder, `${name}.ext`), `subjectAltName=IP:127.0.0.1\nextendedKeyUsage=${usage}\n`);
    const [csr, pem] = [`${name}.csr`, `${name}.pem`];
    openssl("req", "-new", ...key.slice(0, 3), "-keyout", `${name}.key`, "-out", csr, ...subject(name));
    const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    openssl("x509", "-req", "-in", csr, "-out", pem, ...signer, "-extfile", `${name}.ext`);
  }
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A docker-registry over what lies in `storage`; `more` is YAML for its configuration. */
export async function serveStorage(
  folder: string,
  storage: string,
  kind: "tls" | "basic" | "token",
  realm = "",
): Promise<Running> {
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const at = (name: string) => join(folder, name);
  writeFileSync(at("htpasswd"), HTPASSWD);
  const pair = `certificate: "${at("server.pem")}", key: "${at("server.key")}"`;
  const tls = `tls: { ${pair}, clientcas: ["${at("ca.pem")}"] }`;
  const issuer = `service: "berth", issuer: "berth", rootcertbundle: "${at("server.pem")}"`;
  const token = `{ realm: "${realm}", ${issuer} }`;
  const auth = {
    tls: "",
    basic: `auth: { htpasswd: { realm: berth, path: "${at("htpasswd")}" } }`,
    token: `auth: { token: ${token} }`,
  }[kind];
  const lines = [
    "version: 0.1",
    "log: { level: warn, accesslog: { disabled: true } }",
    `storage: { filesystem: { rootdirectory: "${storage}" } }`,
    "http:",
    `  addr: "${host}"`,
    ...(kind === "tls" ? [`  ${tls}`] : []),
    auth,
  ];
  writeFileSync(at(`${kind}.yml`), `${lines.join("\n")}\n`);
  const child = spawn("docker-registry", ["serve", at(`${kind}.yml`)], {
    stdio: "ignore",
    env: { ...process.env, OTEL_TRACES_EXPORTER: "none" },
  });
  await untilListening(child, port);
  return { host, stop: () => ended(child) };
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(socket.destroy() !== undefined));
      socket.once("error", () => resolve(false));
    });
    if (open) return;
    await sleep(20);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => child.once("exit", resolve));
  }
}

async function listening(server: Server): Promise<Running> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { host: `127.0.0.1:${port}`, stop };
}

export interface TokenServer extends Running {
  /** What was asked for: method, scope, and how the asker showed who it is. */
  readonly asked: { method: string; scope: string; by: string }[];
}

/** Gives out tokens for what USER, or whoever has the refresh token "refresh-me", asks for. */
export async function serveTokens(folder: string, lifetimeSeconds: number): Promise<TokenServer> {
  const asked: TokenServer["asked"] = [];
  const basic = `Basic ${Buffer.from(`${USER.username}:${USER.password}`).toString("base64")}`;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://x");
    const form = new URLSearchParams(request.method === "POST" ? await bodyOf(request) : url.search);
    const by = form.get("refresh_token") ?? request.headers.authorization ?? "";
    const scope = form.get("scope") ?? "";
    asked.push({ method: request.method ?? "", scope, by });
    if (by !== basic && by !== "refresh-me") return void response.writeHead(401).end();
    const name = /^repository:([^:]+):pull$/.exec(scope)?.[1];
    const access = name === undefined ? [] : [{ type: "repository", name, actions: ["pull"] }];
    const token = sign(folder, access);
    response.end(JSON.stringify({ token, access_token: token, expires_in: lifetimeSeconds }));
  });
  return { ...(await listening(server)), asked };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const piece of request) body += String(piece);
  return body;
}

/** A JSON web token as the distribution project's registry wants it. */
function sign(folder: string, access: object[]): string {
  const pem = readFileSync(join(folder, "server.pem"), "utf8");
  const der = /-----BEGIN CERTIFICATE-----([\s\S]+?)-----END/.exec(pem)?.[1]?.replace(/\s/g, "");
  const now = Math.floor(Date.now() / 1000);
  const header = { typ: "JWT", alg: "RS256", x5c: [der] };
  const claims = {
    iss: "berth",
    aud: "berth",
    sub: "alice",
    exp: now + 300,
    nbf: now - 10,
    iat: now,
    access,
  };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part(header)}.${part({ ...claims, jti: String(Math.random()) })}`;
  const signature = createSign("RSA-SHA256")
    .update(text)
    .sign(readFileSync(join(folder, "server.key")));
  return `${text}.${signature.toString("base64url")}`;
}

export interface TestProxy extends Running {
  /** Where requests and tunnels went, and with which credentials. */
  readonly seen: string[];
}

/** An HTTP proxy for which every host is `target`. */
export async function serveProxy(target: string): Promise<TestProxy> {
  const seen: string[] = [];
  const [hostname = "", port = ""] = target.split(":");
  const note = (what: string, request: IncomingMessage) =>
    seen.push(`${what} ${request.headers["proxy-authorization"] ?? ""}`.trim());
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "");
    note(url.host, request);
    const { "proxy-authorization": _, ...headers } = request.headers;
    const path = `${url.pathname}${url.search}`;
    const onward = httpRequest({ host: hostname, port, path, method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request: IncomingMessage, socket) => {
    note(`CONNECT ${request.url}`, request);
    const onward = connect(Number(port), hostname, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
  });
  return { ...(await listening(server)), seen };
}
