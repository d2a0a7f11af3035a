import { describe, expect, it } from "vitest";
import { parseArguments } from "../../../src/cli/arguments/options.ts";
import { runConfig } from "../../../src/cli/commands/run-config.ts";
import { RUN_OPTIONS } from "../../../src/cli/commands/run-options.ts";
import {
  MountPropagation,
  NamespaceMode,
  SecurityProfile_ProfileType as ProfileType,
  Protocol,
  Signal,
} from "../../../src/gen/runtime/v1/api.ts";

function configOf(line: string, name = "my_web", env: NodeJS.ProcessEnv = {}) {
  const parsed = parseArguments(line.split(" "), { options: RUN_OPTIONS, stopAtFirst: true });
  return runConfig(parsed, name, { env, directory: "/cwd", uid: "uid-1" });
}
const securityOf = (line: string) => configOf(line).container.linux?.securityContext;

describe("berth run", () => {
  it("leaves the ids of a user namespace to the daemon, and the container to its pod", () => {
    const { pod, container } = configOf("--userns auto alpine");
    const userns = pod.linux?.securityContext?.namespaceOptions?.usernsOptions;
    expect(userns).toEqual({ mode: NamespaceMode.POD, uids: [], gids: [] });
    expect(container.linux?.securityContext?.namespaceOptions?.usernsOptions).toBeUndefined();
    for (const line of ["alpine", "--userns host alpine"]) {
      expect(configOf(line).pod.linux?.securityContext?.namespaceOptions?.usernsOptions).toBeUndefined();
    }
    expect(() => configOf("--userns keep-id alpine")).toThrow('"keep-id" for --userns');
    // What the daemon sets by itself would be wrong for some of those ids.
    expect(pod.linux?.sysctls).toEqual({});
  });

  it("mounts images beside host paths", () => {
    const line = "-v /a:/b --mount source=/c,target=/d,ro --mount type=image,source=data:1,target=/e alpine";
    expect(configOf(line).container.mounts).toMatchObject([
      { hostPath: "/a", containerPath: "/b", readonly: false },
      { hostPath: "/c", containerPath: "/d", readonly: true },
      { hostPath: "", containerPath: "/e", readonly: true, image: { image: "data:1" } },
    ]);
  });

  it("asks for a confined pod of one container by default", () => {
    const { pod, container } = configOf("alpine echo hi");
    expect(pod.metadata).toEqual({ name: "my_web", uid: "uid-1", namespace: "berth", attempt: 0 });
    expect(pod.hostname).toBe("my-web");
    expect(pod.labels).toEqual({ "berth.name": "my_web" });
    expect(pod.annotations).toEqual({});
    expect(pod.linux?.securityContext?.namespaceOptions).toMatchObject({
      network: NamespaceMode.POD,
      pid: NamespaceMode.CONTAINER,
      ipc: NamespaceMode.POD,
    });
    expect(container.image).toMatchObject({ image: "alpine", userSpecifiedImage: "alpine" });
    expect([container.command, container.args]).toEqual([[], ["echo", "hi"]]);
    expect(container.logPath).not.toBe("");
    const security = container.linux?.securityContext;
    expect(security?.seccomp?.profileType).toBe(ProfileType.RuntimeDefault);
    expect(security?.maskedPaths).toContain("/proc/kcore");
    expect(security?.readonlyPaths).toContain("/proc/sys");
    expect(security?.runAsUser).toBeUndefined();
    expect(container.linux?.resources).toBeUndefined();
  });

  it("marks --rm, and closes the input with its client in the foreground only", () => {
    expect(configOf("--rm -i x").pod.annotations).toEqual({ "berth.auto-remove": "true" });
    expect(configOf("-i x").container).toMatchObject({ stdin: true, stdinOnce: true, tty: false });
    expect(configOf("-id x").container).toMatchObject({ stdin: true, stdinOnce: false });
  });

  it("passes environment and volumes on, and gives terminals a TERM", () => {
    const { container } = configOf("-t -e A=1 -e B -v /h:/c:ro -v ./d:/e:rshared x", "n", { B: "ü" });
    expect(container.envs.map(({ key, value }) => [key, value.toString()])).toEqual([
      ["TERM", "xterm"],
      ["A", "1"],
      ["B", "ü"],
    ]);
    expect(container.mounts).toMatchObject([
      {
        hostPath: "/h",
        containerPath: "/c",
        readonly: true,
        propagation: MountPropagation.PROPAGATION_PRIVATE,
      },
      { hostPath: "/cwd/d", readonly: false, propagation: MountPropagation.PROPAGATION_BIDIRECTIONAL },
    ]);
  });

  it("replaces entrypoints as docker does", () => {
    expect(configOf("--entrypoint sh x -c ls").container).toMatchObject({
      command: ["sh"],
      args: ["-c", "ls"],
    });
    expect(configOf("--entrypoint= x ls -l").container).toMatchObject({ command: ["ls", "-l"], args: [] });
    expect(() => configOf("--entrypoint= x")).toThrow("--entrypoint");
  });

  it("publishes ports and uses the host's network", () => {
    expect(configOf("-p 8080:80 -p 53:53/udp x").pod.portMappings).toMatchObject([
      { protocol: Protocol.TCP, hostPort: 8080, containerPort: 80 },
      { protocol: Protocol.UDP, hostPort: 53, containerPort: 53 },
    ]);
    const { pod } = configOf("--network host x");
    expect(pod.linux?.securityContext?.namespaceOptions?.network).toBe(NamespaceMode.NODE);
    expect([pod.hostname, pod.linux?.sysctls]).toEqual(["", {}]);
    expect(() => configOf("--network host -p 1:1 x")).toThrow("--publish");
    expect(configOf("--network none x").pod.annotations).toEqual({ "berth.network": "none" });
    expect(() => configOf("--network none -p 1:1 x")).toThrow("--publish");
    expect(() => configOf("--network mine x")).toThrow("--network");
  });

  it("sets users, capabilities and profiles", () => {
    expect(securityOf("-u 1000:50 x")).toMatchObject({
      runAsUser: { value: 1000n },
      runAsGroup: { value: 50n },
    });
    expect(securityOf("-u www-data x")).toMatchObject({ runAsUsername: "www-data", runAsUser: undefined });
    expect(() => securityOf("-u a:b x")).toThrow("--user");
    expect(securityOf("--cap-add CAP_NET_ADMIN --cap-drop all x")?.capabilities).toMatchObject({
      addCapabilities: ["NET_ADMIN"],
      dropCapabilities: ["ALL"],
    });
    expect(securityOf("--security-opt no-new-privileges --security-opt seccomp=unconfined x")).toMatchObject({
      noNewPrivs: true,
      seccomp: { profileType: ProfileType.Unconfined },
    });
    expect(securityOf("--security-opt seccomp=p.json x")?.seccomp).toMatchObject({
      profileType: ProfileType.Localhost,
      localhostRef: "p.json",
    });
    expect(() => securityOf("--security-opt constructor x")).toThrow("--security-opt");
    expect(() => securityOf("--security-opt label=x x")).toThrow("--security-opt");
  });

  it("hides nothing from privileged containers", () => {
    const { pod, container } = configOf("--privileged x");
    expect(pod.linux?.securityContext?.privileged).toBe(true);
    expect(container.linux?.securityContext).toMatchObject({
      privileged: true,
      maskedPaths: [],
      readonlyPaths: [],
    });
  });

  it("sets limits", () => {
    expect(configOf("-m 64m --cpus 0.5 --pids-limit 100 x").container.linux?.resources).toMatchObject({
      memoryLimitInBytes: 67_108_864n,
      cpuPeriod: 100_000n,
      cpuQuota: 50_000n,
      unified: { "pids.max": "100" },
    });
    expect(() => configOf("-m 64m --memory-swap 32m x")).toThrow("--memory-swap");
    expect(() => configOf("--oom-score-adj 2000 x")).toThrow("--oom-score-adj");
  });

  it("names stop signals in the CRI's numbers", () => {
    expect(configOf("--stop-signal SIGQUIT x").container.stopSignal).toBe(Signal.SIGNAL_SIGQUIT);
    expect(configOf("--stop-signal 9 x").container.stopSignal).toBe(Signal.SIGNAL_SIGKILL);
    expect(configOf("--stop-signal RTMIN+3 x").container.stopSignal).toBe(Signal.SIGNAL_SIGRTMINPLUS3);
    expect(configOf("--stop-signal 64 x").container.stopSignal).toBe(Signal.SIGNAL_SIGRTMAX);
  });

  it("refuses names that no container can have", () => {
    for (const name of ["", "-a", "a/b", "a b", "x".repeat(200)])
      expect(() => configOf("x", name)).toThrow("name");
  });

  it("reads devices", () => {
    expect(
      configOf("--device /dev/fuse --device /dev/a:/dev/b:r --device /dev/c:rw x").container.devices,
    ).toEqual([
      { hostPath: "/dev/fuse", containerPath: "/dev/fuse", permissions: "rwm" },
      { hostPath: "/dev/a", containerPath: "/dev/b", permissions: "r" },
      { hostPath: "/dev/c", containerPath: "/dev/c", permissions: "rw" },
    ]);
    expect(() => configOf("--device fuse x")).toThrow("--device");
  });
});
