// The images that tests and the quickstart run, made of files of this host and of the probe.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ImageRecipe, type MadeImage, makeImage } from "./layout.ts";
import { addProgram } from "./libraries.ts";
import { Tree } from "./tree.ts";

export const PROBE_REFERENCE = "berth.test/probe:latest";
export const BUSYBOX_REFERENCE = "berth.test/busybox:latest";
export const NGINX_REFERENCE = "berth.test/nginx:latest";

/** What nginx of our image answers on "/". */
export const NGINX_GREETING = "berth test page\n";

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PASSWD = [
  "root:x:0:0:root:/root:/bin/sh",
  "www-data:x:33:33:www-data:/var/www:/bin/false",
  "nobody:x:65534:65534:nobody:/nonexistent:/bin/false",
];
const GROUP = ["root:x:0:", "tty:x:5:", "www-data:x:33:", "nogroup:x:65534:"];
const lines = (items: readonly string[]): string => `${items.join("\n")}\n`;

function addAccounts(tree: Tree, passwd: readonly string[] = [], group: readonly string[] = []): Tree {
  return tree
    .file("etc/passwd", lines([...PASSWD, ...passwd]))
    .file("etc/group", lines([...GROUP, ...group]))
    .directory("tmp", 0o1777);
}

function hostProgram(name: string, debianPackage: string): string {
  const folders = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found === undefined)
    throw new Error(`find "${name}": not on this host; apt-get install ${debianPackage}`);
  return found;
}

/** Only the static probe at /probe, which is the entry point, and the account files. */
export function makeProbeImage(): Promise<MadeImage> {
  const probe = join(import.meta.dirname, "../../out/native/Release/probe");
  if (!existsSync(probe)) throw new Error(`find "${probe}": not built; run: node scripts/native-build.mjs`);
  const tree = addAccounts(new Tree().copy(probe, "probe"));
  const config = { Entrypoint: ["/probe"], Env: [PATH], WorkingDir: "/" };
  return makeImage({ name: "probe", reference: PROBE_REFERENCE, layers: [tree], config });
}

/**
 * Debian's busybox with one hard link per applet, and pgrep and ipcs, which it lacks. Hard links, because
 * tests mask single files: with symbolic links they would mask all of busybox.
 */
export function busyboxTree(): Tree {
  const busybox = hostProgram("busybox", "busybox");
  const tree = new Tree();
  addProgram(tree, busybox, "bin/busybox");
  const applets = execFileSync(busybox, ["--list"], { encoding: "utf8" }).trim().split("\n");
  for (const applet of applets) if (applet !== "busybox") tree.link(`bin/${applet}`, "bin/busybox");
  addProgram(tree, hostProgram("pgrep", "procps"), "usr/bin/pgrep");
  addProgram(tree, hostProgram("ipcs", "util-linux"), "usr/bin/ipcs");
  for (const folder of ["dev", "proc", "sys", "mnt", "run", "var/log", "home"]) tree.directory(folder);
  return tree.directory("root", 0o700).symlink("var/run", "/run");
}

/** Recipe of an image on top of busybox; `marker` makes it a different image from every other one. */
export function busyboxRecipe(options: {
  name: string;
  reference: string;
  marker?: string;
  config?: Readonly<Record<string, unknown>>;
  passwd?: readonly string[];
  group?: readonly string[];
}): ImageRecipe {
  const tree = addAccounts(busyboxTree(), options.passwd, options.group);
  const layers = [tree];
  if (options.marker !== undefined) layers.push(new Tree().file(`marker/${options.marker}`, ""));
  const config = { Cmd: ["sh"], Env: [PATH], WorkingDir: "/", ...options.config };
  return { name: options.name, reference: options.reference, layers, config };
}

export function makeBusyboxImage(): Promise<MadeImage> {
  return makeImage(busyboxRecipe({ name: "busybox", reference: BUSYBOX_REFERENCE }));
}

function nginxConf(port: number): string {
  return `user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log stderr notice;
events { worker_connections 64; }
http {
  access_log /dev/stdout;
  default_type text/plain;
  server {
    listen ${port};
    root /usr/share/nginx/html;
  }
}
`;
}

/** Debian's nginx on `port`, logging to stdout and stderr, with busybox beside it. */
export function nginxRecipe(options: { name: string; reference: string; port?: number }): ImageRecipe {
  const tree = addAccounts(busyboxTree());
  addProgram(tree, hostProgram("nginx", "nginx"), "usr/sbin/nginx");
  tree
    .file("etc/nginx/nginx.conf", nginxConf(options.port ?? 80))
    .file("usr/share/nginx/html/index.html", NGINX_GREETING)
    .directory("var/log/nginx")
    .directory("var/lib/nginx");
  const config = {
    Cmd: ["nginx", "-g", "daemon off;"],
    Env: [PATH],
    ExposedPorts: { "80/tcp": {} },
    WorkingDir: "/",
  };
  return { name: options.name, reference: options.reference, layers: [tree], config };
}

export function makeNginxImage(): Promise<MadeImage> {
  return makeImage(nginxRecipe({ name: "nginx", reference: NGINX_REFERENCE }));
}
