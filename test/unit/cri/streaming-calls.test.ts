// What Exec, Attach and PortForward refuse, and what a URL stands for.

import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { ContainerConfig, PodSandboxConfig } from "../../../src/gen/runtime/v1/api.ts";
import { IMAGE_ID } from "../containers/world.ts";
import { type Edge, makeEdge } from "./edge.ts";

async function runPod(edge: Edge): Promise<string> {
  const config = PodSandboxConfig.fromPartial({
    metadata: { name: "p", uid: "u", namespace: "n", attempt: 0 },
  });
  return (await edge.ask<{ podSandboxId: string }>("runPodSandbox", { config })).podSandboxId;
}

async function create(edge: Edge, podSandboxId: string, tty = false): Promise<string> {
  const metadata = { name: tty ? "tty" : "c", attempt: 0 };
  const config = ContainerConfig.fromPartial({ metadata, image: { image: IMAGE_ID }, tty });
  return (await edge.ask<{ containerId: string }>("createContainer", { podSandboxId, config })).containerId;
}

const invalid = (details: RegExp) => ({
  code: status.INVALID_ARGUMENT,
  details: expect.stringMatching(details),
});

describe("exec and attach", () => {
  it("refuse requests that make no sense", async () => {
    const edge = await makeEdge();
    const containerId = await create(edge, await runPod(edge));
    await edge.ask("startContainer", { containerId });
    for (const method of ["exec", "attach"]) {
      const ask = (request: object) => edge.ask(method, { cmd: ["sh"], ...request });
      await expect(ask({ stdout: true })).rejects.toMatchObject(invalid(/container_id/));
      await expect(ask({ containerId })).rejects.toMatchObject(invalid(/one of them must be true/));
      const both = { containerId, tty: true, stdout: true, stderr: true };
      await expect(ask(both)).rejects.toMatchObject(invalid(/one output/));
    }
    await expect(edge.ask("exec", { containerId, stdout: true })).rejects.toMatchObject(invalid(/cmd/));
    expect(edge.granted).toEqual([]);
  });

  it("tell what is gone from what is in the wrong state", async () => {
    const edge = await makeEdge();
    const containerId = await create(edge, await runPod(edge));
    const request = { cmd: ["sh"], stdout: true };
    const missing = { ...request, containerId: "0".repeat(64) };
    for (const method of ["exec", "attach"]) {
      await expect(edge.ask(method, missing)).rejects.toMatchObject({ code: status.NOT_FOUND });
    }
    await expect(edge.ask("exec", { ...request, containerId })).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringContaining("it is CREATED"),
    });
  });

  it("give a URL that stands for the request", async () => {
    const edge = await makeEdge();
    const containerId = await create(edge, await runPod(edge));
    await edge.ask("startContainer", { containerId });
    const { url } = await edge.ask<{ url: string }>("exec", {
      containerId,
      cmd: ["sh"],
      stdin: true,
      stdout: true,
    });
    expect(url).toBe("http://127.0.0.1:1/exec/1");
    await edge.ask("attach", { containerId, stderr: true });
    expect(edge.granted).toMatchObject([
      { kind: "exec", stdin: true, stdout: true, stderr: false, tty: false, tellsExitCode: true },
      { kind: "attach", stdin: false, stdout: false, stderr: true, tty: false, tellsExitCode: false },
    ]);
  });

  it("attach has the container's terminal, or is refused", async () => {
    const edge = await makeEdge();
    const containerId = await create(edge, await runPod(edge), true);
    const refused = edge.ask("attach", { containerId, stdout: true });
    await expect(refused).rejects.toMatchObject(invalid(/has a terminal: set it to true/));
    await edge.ask("attach", { containerId, stdout: true, tty: true });
    expect(edge.granted).toHaveLength(1);
  });
});

describe("port-forward", () => {
  it("needs a pod that is READY and ports that can be", async () => {
    const edge = await makeEdge();
    await expect(edge.ask("portForward", {})).rejects.toMatchObject(invalid(/pod_sandbox_id/));
    const missing = edge.ask("portForward", { podSandboxId: "0".repeat(64) });
    await expect(missing).rejects.toMatchObject({ code: status.NOT_FOUND });
    const podSandboxId = await runPod(edge);
    const wrong = edge.ask("portForward", { podSandboxId, port: [80, 70_000] });
    await expect(wrong).rejects.toMatchObject(invalid(/port\[1\]/));
    await edge.ask("portForward", { podSandboxId, port: [80] });
    expect(edge.granted).toMatchObject([{ kind: "portforward", ports: [80] }]);
    await edge.ask("stopPodSandbox", { podSandboxId });
    await expect(edge.ask("portForward", { podSandboxId })).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
  });

  it("says of a refused connection what is missing", async () => {
    const edge = await makeEdge();
    const podSandboxId = await runPod(edge);
    await edge.ask("portForward", { podSandboxId });
    const [target] = edge.granted;
    if (target?.kind !== "portforward") throw new Error("no target");
    const call = { signal: new AbortController().signal, log: console, observeStep: () => {} };
    await expect(target.dial(call, 8080)).rejects.toThrow(/port 8080 .*nothing listens/);
    expect(edge.world.kernel.calls.at(-1)).toMatchObject({ name: "dialLoopback" });
  });
});
