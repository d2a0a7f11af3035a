// A driver with plugins that are shell scripts: each records what it was given.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../../src/lib/call.ts";
import { makeCniDriver } from "../../../src/network/cni.ts";
import type { NetworkDriver } from "../../../src/network/driver.ts";
import { openStore, type Store } from "../../../src/store/open.ts";
import type { NetworkConfig } from "../../../src/types/config.ts";
import type { PodConfig } from "../../../src/types/pod.ts";
import { podConfig as plainPod } from "../spec/fixture.ts";

export const podId = "a".repeat(64);
export const otherPodId = "b".repeat(64);

export interface Fixture {
  readonly confDir: string;
  readonly binDir: string;
  readonly store: Store;
  /** A new driver on the same store, as after a restart of the daemon. */
  driver(options?: Partial<NetworkConfig>): NetworkDriver;
  /** Writes a plugin: `body` is shell, run after the record was written. */
  plugin(name: string, body: string): void;
  configure(file: string, value: unknown): void;
  /** "ADD bridge", … in order. */
  calls(): string[];
  /** What the plugin last read on its standard input. */
  input(command: string, plugin: string): Record<string, unknown>;
  /** The environment that the plugin last had. */
  environment(command: string, plugin: string): Record<string, string>;
  close(): void;
}

export function makeFixture(): Fixture {
  const root = mkdtempSync(join(tmpdir(), "berth-cni-"));
  const [confDir, binDir, log] = [join(root, "net.d"), join(root, "bin"), join(root, "log")];
  mkdirSync(confDir);
  mkdirSync(binDir);
  mkdirSync(log);
  const store = openStore(":memory:");
  insertPodRow(store, podId);
  insertPodRow(store, otherPodId);
  const drivers: NetworkDriver[] = [];
  return {
    confDir,
    binDir,
    store,
    driver: (options = {}) => {
      const config = {
        cniConfDir: confDir,
        cniBinDirs: [join(root, "none"), binDir],
        defaultSubnet: "10.213.0.0/24",
        defaultSubnetV6: "",
        maxNetworks: 1,
        pluginTimeoutMs: 60_000,
        ...options,
      };
      const made = makeCniDriver({ config, store, log: silentLogger });
      drivers.push(made);
      return made;
    },
    plugin: (name, body) => {
      const record =
        `#!/bin/sh\nf="${log}/$CNI_COMMAND.${name}"\ncat > "$f.stdin"\nenv > "$f.env"\n` +
        `echo "$CNI_COMMAND ${name}" >> "${log}/calls"\n`;
      writeFileSync(join(binDir, name), `${record}${body}\n`, { mode: 0o755 });
    },
    configure: (file, value) => {
      writeFileSync(join(confDir, file), typeof value === "string" ? value : JSON.stringify(value));
    },
    calls: () => linesOf(join(log, "calls")),
    input: (command, plugin) => JSON.parse(readFileSync(join(log, `${command}.${plugin}.stdin`), "utf8")),
    environment: (command, plugin) =>
      Object.fromEntries(
        linesOf(join(log, `${command}.${plugin}.env`)).map((line) => {
          const equals = line.indexOf("=");
          return [line.slice(0, equals), line.slice(equals + 1)];
        }),
      ),
    close: () => {
      for (const made of drivers) made.close();
      store.close();
      rmSync(root, { recursive: true });
    },
  };
}

/** Shell of a plugin whose ADD prints a result with the address. */
export function printResult(address: string, version = "1.0.0"): string {
  const result = {
    cniVersion: version,
    interfaces: [{ name: "host0" }, { name: "eth0", sandbox: "/x" }],
    ips: [{ address, interface: 1 }],
  };
  return `[ "$CNI_COMMAND" = ADD ] && echo '${JSON.stringify(result)}'; exit 0`;
}

export function podConfig(changes: Partial<PodConfig> = {}): PodConfig {
  const metadata = { name: "web", namespace: "default", uid: "u-1", attempt: 0 };
  return plainPod({}, { metadata, ...changes });
}

export function insertPodRow(store: Store, id: string): void {
  store
    .prepare(
      `INSERT INTO pods (id, name, namespace, uid, attempt, handler, config, created_at, netns_path, network,
         cgroup_path, boot_id) VALUES (?, ?, 'default', '', 0, '', '{}', 1, '', '{}', '', '')`,
    )
    .run(id, id);
}

export function attachmentRows(store: Store): number {
  return store.prepare("SELECT count(*) FROM network_attachments").pluck().get() as number;
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").trim().split("\n");
  } catch {
    return [];
  }
}
