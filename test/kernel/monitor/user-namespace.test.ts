// Pods with a user namespace of their own: what their containers are, own and may, seen from inside and from
// the host.

import { describe, expect, test } from "vitest";
import type { NamespaceOptions } from "../../../src/types/pod.ts";
import { MAPPED } from "../../unit/spec/fixture.ts";
import { type PodOptions, usePods } from "./pod.ts";

const startPod = usePods();

function mapped(options: Partial<NamespaceOptions> = {}): PodOptions {
  return { security: { namespaces: { ...MAPPED, ...options } } };
}

describe("identity", () => {
  test.each(["CONTAINER", "POD", "NODE"] as const)("root of its own, with pid mode %s", async (pid) => {
    const pod = await startPod(mapped({ pid }));
    const report = await pod.report();
    expect(report.uid).toBe(0);
    expect(report.gid).toBe(0);
    expect(report.uid_map).toEqual(["         0     100000      65536"]);
    expect(report.gid_map).toEqual(["         0     200000      65536"]);
    expect(report.pid1).toBe(pid === "CONTAINER");
  });
});
