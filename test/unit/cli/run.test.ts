import { PassThrough } from "node:stream";
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseArguments } from "../../../src/cli/arguments/options.ts";
import { Channel } from "../../../src/cli/client/channel.ts";
import type { Command, Context } from "../../../src/cli/command.ts";
import { command as exec } from "../../../src/cli/commands/exec.ts";
import { command as rm } from "../../../src/cli/commands/rm.ts";
import { command as run } from "../../../src/cli/commands/run.ts";
import {
  type AttachRequest,
  AttachResponse,
  ContainerSummary,
  EngineService,
  type ExecRequest,
  ExecResponse,
  PullImageResponse,
  ResolveResponse,
} from "../../../src/gen/berth/v1/engine.ts";
import {
  type ContainerConfig,
  Image,
  ImageServiceService,
  PodSandboxStatusResponse,
  RuntimeServiceService,
} from "../../../src/gen/runtime/v1/api.ts";
import { startServer, type TestServer } from "./server.ts";

type Answer = (error: unknown, response?: unknown) => void;
interface Unary {
  request: Record<string, unknown>;
}

/** A daemon that does nothing but note the calls. */
class FakeDaemon {
  readonly calls: string[] = [];
  containers: ContainerSummary[] = [];
  image = true;
  failStart: string | null = null;
  exitCode = 0;
  output = "";
  /** Polls after which an ended container is gone. */
  removalPolls = 2;
  stdin = "";
  #attached: ServerDuplexStream<AttachRequest, AttachResponse> | undefined;

  unary(name: string, respond: (request: Record<string, unknown>) => unknown) {
    return (call: Unary, answer: Answer) => {
      this.calls.push(name);
      try {
        answer(null, respond(call.request));
      } catch (error) {
        answer(error);
      }
    };
  }

  /** Configs of the containers that were created. */
  readonly created: ContainerConfig[] = [];

  readonly runtime = {
    podSandboxStatus: this.unary("PodSandboxStatus", () => {
      const range = [{ containerId: 0, hostId: 70_000, length: 65_536 }];
      const options = { usernsOptions: { uids: range, gids: range } };
      return PodSandboxStatusResponse.fromPartial({ status: { linux: { namespaces: { options } } } });
    }),
    runPodSandbox: this.unary("RunPodSandbox", () => ({ podSandboxId: "pod1" })),
    createContainer: this.unary("CreateContainer", ({ config }) => {
      this.created.push(config as ContainerConfig);
      return { containerId: "ctr1" };
    }),
    startContainer: this.unary("StartContainer", () => {
      if (this.failStart !== null) throw { code: status.FAILED_PRECONDITION, details: this.failStart };
      queueMicrotask(() => this.finish());
      return {};
    }),
    stopContainer: this.unary("StopContainer", () => ({})),
    stopPodSandbox: this.unary("StopPodSandbox", () => ({})),
    removePodSandbox: this.unary("RemovePodSandbox", () => ({})),
    removeContainer: this.unary("RemoveContainer", () => ({})),
  };

  readonly images = {
    imageStatus: this.unary("ImageStatus", () => ({
      image: this.image ? Image.fromPartial({ id: "sha256:1" }) : undefined,
      info: {},
    })),
  };

  readonly engine = {
    listContainers: this.unary("ListContainers", () => ({ containers: this.containers })),
    resolve: this.unary("Resolve", ({ container }) => {
      if (this.removalPolls-- > 0) {
        return ResolveResponse.fromPartial({
          containerId: "ctr1",
          podId: "pod1",
          ownsPod: true,
          state: "running",
        });
      }
      throw { code: status.NOT_FOUND, details: `no such container: "${container}"` };
    }),
    attach: (call: ServerDuplexStream<AttachRequest, AttachResponse>) => {
      this.calls.push("Attach");
      this.#attached = call;
      call.on("data", (message: AttachRequest) => {
        this.stdin += message.stdin.toString();
        if (message.start !== undefined) call.write(AttachResponse.fromPartial({ attached: true }));
      });
    },
    exec: (call: ServerDuplexStream<ExecRequest, ExecResponse>) => {
      call.on("data", (message: ExecRequest) => {
        if (message.start === undefined) return;
        this.calls.push(`Exec ${message.start.argv.join(" ")} ${message.start.env.join(" ")}`);
        call.write(ExecResponse.fromPartial({ started: { pid: 1 }, stdout: Buffer.from(this.output) }));
        call.write(ExecResponse.fromPartial({ exit: { exitCode: this.exitCode } }));
        call.end();
      });
    },
    pullImage: (call: { write(message: PullImageResponse): void; end(): void }) => {
      this.calls.push("PullImage");
      const layer = { layer: `sha256:${"a".repeat(64)}`, phase: "done" };
      call.write(PullImageResponse.fromPartial({ layers: [layer] }));
      call.write(PullImageResponse.fromPartial({ imageId: "sha256:1" }));
      call.end();
    },
  };

  finish(): void {
    const call = this.#attached;
    if (call === undefined) return;
    call.write(AttachResponse.fromPartial({ stdout: Buffer.from(this.output) }));
    call.write(AttachResponse.fromPartial({ stderr: Buffer.from("warned") }));
    call.write(AttachResponse.fromPartial({ exit: { exitCode: this.exitCode } }));
    call.end();
  }
}

let daemon: FakeDaemon;
let server: TestServer;
let channel: Channel;

beforeEach(async () => {
  daemon = new FakeDaemon();
  server = await startServer((grpc) => {
    grpc.addService(EngineService, daemon.engine as never);
    grpc.addService(RuntimeServiceService, daemon.runtime as never);
    grpc.addService(ImageServiceService, daemon.images as never);
  });
  channel = await Channel.open(server.socket);
});
afterEach(() => {
  channel.destroy();
  server.close();
});

async function invoke(command: Command, line: string, input = "") {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end(input);
  const context = {
    socket: server.socket,
    env: {},
    stdin,
    stdout,
    stderr,
    channel: async () => channel,
  } as unknown as Context;
  const parsed = parseArguments(line.split(" "), { options: command.options, stopAtFirst: true });
  const text = (stream: PassThrough) => String(stream.read() ?? "");
  const ended = await command.run(context, parsed).then(
    (exitCode) => ({ exitCode, error: "" }),
    (error) => ({ exitCode: error.exitCode as number, error: error.message as string }),
  );
  return { ...ended, out: text(stdout), err: text(stderr) };
}

describe("berth run", () => {
  it("attaches before it starts, and exits as the container does", async () => {
    daemon.output = "hello\n";
    daemon.exitCode = 7;
    expect(await invoke(run, "alpine true")).toEqual({
      exitCode: 7,
      error: "",
      out: "hello\n",
      err: "warned",
    });
    expect(daemon.calls).toEqual([
      "ImageStatus",
      "ListContainers",
      "RunPodSandbox",
      "CreateContainer",
      "Attach",
      "StartContainer",
    ]);
  });

  it("waits until a container of --rm is gone, and removes nothing itself", async () => {
    expect((await invoke(run, "--rm alpine")).exitCode).toBe(0);
    expect(daemon.calls.slice(-4)).toEqual(["StartContainer", "Resolve", "Resolve", "Resolve"]);
  });

  it("prints the id with -d and attaches to nothing", async () => {
    expect(await invoke(run, "-d alpine")).toMatchObject({ exitCode: 0, out: "ctr1\n" });
    expect(daemon.calls).not.toContain("Attach");
  });

  it("maps host paths to the ids that the daemon has chosen, images not", async () => {
    const mounts = "-v /a:/b --mount type=image,source=data:1,target=/c";
    await invoke(run, `-d --userns auto ${mounts} alpine`);
    const [path, image] = daemon.created[0]?.mounts ?? [];
    expect(path?.uidMappings).toEqual([{ containerId: 0, hostId: 70_000, length: 65_536 }]);
    expect(image?.uidMappings).toEqual([]);
    expect(daemon.calls.filter((name) => name === "ImageStatus")).toHaveLength(2);
    await invoke(run, `-d ${mounts} alpine`);
    expect(daemon.created[1]?.mounts[0]?.uidMappings).toEqual([]);
  });

  it("pulls what is missing, telling of it on the standard error", async () => {
    daemon.image = false;
    const { out, err } = await invoke(run, "-d alpine");
    expect(daemon.calls.slice(0, 2)).toEqual(["ImageStatus", "PullImage"]);
    expect([out, err]).toEqual([
      "ctr1\n",
      'Unable to find image "alpine" locally\naaaaaaaaaaaa: Pull complete\n',
    ]);
  });

  it("obeys --pull", async () => {
    await invoke(run, "-d --pull always alpine");
    expect(daemon.calls[0]).toBe("PullImage");
    daemon.image = false;
    expect(await invoke(run, "--pull never alpine")).toMatchObject({
      exitCode: 125,
      error: expect.stringMatching(/no such image/),
    });
    expect((await invoke(run, "--pull sometimes alpine")).exitCode).toBe(125);
  });

  it("refuses a name that is taken before it makes anything", async () => {
    daemon.containers = [ContainerSummary.fromPartial({ id: "ab".repeat(32), name: "web" })];
    const { exitCode, error } = await invoke(run, "--name web alpine");
    expect(exitCode).toBe(125);
    expect(error).toBe(
      'container name "web" is already in use by container abababababab: remove it or choose another',
    );
    expect(daemon.calls).not.toContain("RunPodSandbox");
  });

  it.each([
    ['start container "ctr1": execute "nope": no such file in the image', 127],
    ['start container "ctr1": execute "/etc": permission denied', 126],
    ["the monitor has gone", 125],
  ])("removes the pod when the start fails: %s", async (message, exitCode) => {
    daemon.failStart = message;
    expect(await invoke(run, "alpine nope")).toMatchObject({ exitCode, error: message });
    expect(daemon.calls.slice(-2)).toEqual(["StopPodSandbox", "RemovePodSandbox"]);
  });

  it("takes a broken attachment for no exit", async () => {
    daemon.finish = () => server.close();
    expect(await invoke(run, "alpine")).toMatchObject({
      exitCode: 125,
      error: expect.stringMatching(/connection to berthd broke/),
    });
  });
});

describe("berth exec", () => {
  it("passes command and environment on and exits as the command does", async () => {
    daemon.output = "x";
    daemon.exitCode = 3;
    expect(await invoke(exec, "-e A=1 web ls -l")).toMatchObject({ exitCode: 3, out: "x" });
    expect(daemon.calls).toEqual(["Resolve", "Exec ls -l A=1"]);
  });
});

describe("berth rm", () => {
  it("refuses a running container unless forced", async () => {
    expect(await invoke(rm, "web")).toMatchObject({
      exitCode: 1,
      err: expect.stringMatching(/it is running: stop it first or use -f/),
    });
    expect(await invoke(rm, "-f web")).toMatchObject({ exitCode: 0, out: "web\n" });
    expect(daemon.calls.slice(1)).toEqual(["Resolve", "StopContainer", "StopPodSandbox", "RemovePodSandbox"]);
  });
  it("forgives a missing one when forced, and goes on after a failure", async () => {
    daemon.removalPolls = 0;
    expect((await invoke(rm, "-f gone")).exitCode).toBe(0);
    expect(await invoke(rm, "a b")).toMatchObject({
      exitCode: 1,
      err: expect.stringMatching(/"a"[\s\S]*"b"/),
    });
  });
});
