// What clients send, as the verbs get it: presence, 64-bit integers, bytes, and garbage.

import { describe, expect, it } from "vitest";
import { containerConfigFromProto, containerFilterFromProto } from "../../../src/cri/container-from-proto.ts";
import { authFromProto } from "../../../src/cri/image-from-proto.ts";
import { podConfigFromProto, podFilterFromProto } from "../../../src/cri/pod-from-proto.ts";
import {
  AuthConfig,
  ContainerConfig,
  ContainerFilter,
  type DeepPartial,
  NamespaceMode,
  PodSandboxConfig,
  PodSandboxFilter,
} from "../../../src/gen/runtime/v1/api.ts";

const metadata = { name: "web", uid: "u1", namespace: "default" };

/** Through the wire, as a client's message arrives. */
function pod(config: DeepPartial<PodSandboxConfig>) {
  const sent = PodSandboxConfig.encode(PodSandboxConfig.fromPartial({ metadata, ...config })).finish();
  return podConfigFromProto(PodSandboxConfig.decode(sent), "config");
}

function container(config: DeepPartial<ContainerConfig>) {
  const whole = { metadata: { name: "c" }, image: { image: "busybox" }, ...config };
  const sent = ContainerConfig.encode(ContainerConfig.fromPartial(whole)).finish();
  return containerConfigFromProto(ContainerConfig.decode(sent), "config");
}

describe("a pod's config", () => {
  it("shares every namespace in the pod when nothing is said", () => {
    const { security, cgroupParent, sysctls, dns, resources } = pod({});
    expect(security.namespaces).toEqual({ network: "POD", pid: "POD", ipc: "POD", targetId: "" });
    expect({ cgroupParent, sysctls, dns, resources }).toEqual({ cgroupParent: "", sysctls: {} });
    expect([security.seccomp, security.runAsUser, security.privileged]).toEqual([
      undefined,
      undefined,
      false,
    ]);
  });

  it("tells an absent profile from an empty one, and user 0 from none", () => {
    const { security } = pod({ linux: { securityContext: { seccomp: {}, runAsUser: {} } } });
    expect(security.seccomp).toEqual({ type: "RuntimeDefault", localhostRef: "" });
    expect(security.apparmor).toBeUndefined();
    expect(security.runAsUser).toBe(0);
  });

  it("keeps annotations, sysctls and an empty DNS config as they are", () => {
    const annotations = { "a/b": "ü\0", empty: "" };
    const config = pod({ annotations, dnsConfig: {}, linux: { sysctls: { "net.ipv4.ip_forward": "1" } } });
    expect(config.annotations).toEqual(annotations);
    expect(config.dns).toEqual({ servers: [], searches: [], options: [] });
    expect(config.sysctls).toEqual({ "net.ipv4.ip_forward": "1" });
  });

  it("keeps a user namespace with its mappings", () => {
    const ids = [{ hostId: 0xffff_ffff, containerId: 0, length: 1 }];
    const usernsOptions = { mode: NamespaceMode.POD, uids: ids };
    const { security } = pod({ linux: { securityContext: { namespaceOptions: { usernsOptions } } } });
    expect(security.namespaces.userns).toEqual({ mode: "POD", uids: ids, gids: [] });
  });

  it.each<[string, DeepPartial<PodSandboxConfig>]>([
    ["config.metadata", { metadata: undefined }],
    ["config.metadata.name", { metadata: { ...metadata, name: "" } }],
    ["config.metadata.uid", { metadata: { ...metadata, uid: "" } }],
    ["config.metadata.namespace", { metadata: { ...metadata, namespace: "" } }],
    ["config.hostname", { hostname: "a\0b" }],
    ["config.windows", { windows: {} }],
    ["config.port_mappings[1].host_port", { portMappings: [{}, { hostPort: 65536 }] }],
    ["config.port_mappings[0].container_port", { portMappings: [{ containerPort: -1 }] }],
    ["config.port_mappings[0].protocol", { portMappings: [{ protocol: 3 as never }] }],
    ["config.linux.sysctls key", { linux: { sysctls: { "": "1" } } }],
    ['config.linux.sysctls["a"]', { linux: { sysctls: { a: "\0" } } }],
    [
      "config.linux.security_context.namespace_options.pid",
      { linux: { securityContext: { namespaceOptions: { pid: 4 as never } } } },
    ],
    [
      "config.linux.security_context.run_as_user",
      { linux: { securityContext: { runAsUser: { value: -1n } } } },
    ],
    [
      "config.linux.security_context.supplemental_groups[1]",
      { linux: { securityContext: { supplementalGroups: [1n, 0xffff_ffffn] } } },
    ],
    [
      "config.linux.security_context.seccomp_profile_path",
      { linux: { securityContext: { seccompProfilePath: "/etc/x" } } },
    ],
    [
      "config.linux.resources.memory_limit_in_bytes",
      { linux: { resources: { memoryLimitInBytes: 2n ** 53n } } },
    ],
    ["config.linux.overhead.oom_score_adj", { linux: { overhead: { oomScoreAdj: 1001n } } }],
  ])("refuses %s", (path, config) => {
    expect(() => pod(config)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining(`"${path}"`) }),
    );
  });

  it("refuses a config that is not there", () => {
    expect(() => podConfigFromProto(undefined, "config")).toThrow('"config" is missing');
  });
});

describe("a container's config", () => {
  it("leaves absent what was absent", () => {
    const { security, resources, mounts, stopSignal } = container({});
    expect([security.namespaces, security.seccomp, security.apparmor, resources]).toEqual(
      Array(4).fill(undefined),
    );
    expect({ mounts, stopSignal }).toEqual({ mounts: [], stopSignal: 0 });
  });

  it("keeps environment bytes that are not UTF-8", () => {
    const value = Buffer.from([0xff, 0x41, 0xc3]);
    expect(container({ envs: [{ key: "ü", value }] }).envs).toEqual([
      { name: "\xc3\xbc", value: "\xffA\xc3" },
    ]);
  });

  it("reads the older profile strings, and drops their prefix from the newer field", () => {
    const old = container({
      linux: { securityContext: { seccompProfilePath: "localhost//p.json", apparmorProfile: "unconfined" } },
    });
    expect(old.security.seccomp).toEqual({ type: "Localhost", localhostRef: "/p.json" });
    expect(old.security.apparmor).toEqual({ type: "Unconfined", localhostRef: "" });
    const both = container({
      linux: {
        securityContext: {
          apparmor: { profileType: 2, localhostRef: "localhost/p" },
          apparmorProfile: "unconfined",
        },
      },
    });
    expect(both.security.apparmor).toEqual({ type: "Localhost", localhostRef: "p" });
  });

  it("keeps unlimited quotas and reads limits exactly", () => {
    const { resources } = container({
      linux: {
        resources: { cpuQuota: -1n, memoryLimitInBytes: 9007199254740991n, unified: { "memory.high": "1" } },
      },
    });
    expect(resources).toMatchObject({
      cpuQuota: -1,
      memoryLimitBytes: Number.MAX_SAFE_INTEGER,
      unified: { "memory.high": "1" },
    });
  });

  it("takes a mount's empty image for none", () => {
    const mount = { containerPath: "/a", hostPath: "/b", propagation: 2 } as const;
    const [plain, image] = container({
      mounts: [
        { ...mount, image: {} },
        { ...mount, image: { image: "data" } },
      ],
    }).mounts;
    expect(plain).toMatchObject({ propagation: "BIDIRECTIONAL", image: undefined });
    expect(image?.image).toMatchObject({ image: "data" });
  });

  it.each<[string, DeepPartial<ContainerConfig>]>([
    ["config.metadata", { metadata: undefined }],
    ["config.metadata.name", { metadata: {} }],
    ["config.image", { image: undefined }],
    ["config.image.image", { image: { userSpecifiedImage: "busybox" } }],
    ["config.args[1]", { args: ["a", "b\0"] }],
    ["config.envs[0].key", { envs: [{ key: "A=B" }] }],
    ["config.envs[1].value", { envs: [{ key: "A" }, { key: "B", value: Buffer.from([0]) }] }],
    ["config.mounts[0].container_path", { mounts: [{ hostPath: "/a" }] }],
    ["config.mounts[0].propagation", { mounts: [{ containerPath: "/a", propagation: 7 as never }] }],
    ["config.devices[0].permissions", { devices: [{ hostPath: "/dev/null", permissions: "rwx" }] }],
    ["config.CDI_devices[0].name", { CDIDevices: [{}] }],
    ["config.stop_signal", { stopSignal: 66 as never }],
    ["config.linux.resources.cpu_shares", { linux: { resources: { cpuShares: 2n ** 63n - 1n } } }],
    [
      "config.linux.resources.hugepage_limits[0].limit",
      { linux: { resources: { hugepageLimits: [{ limit: 2n ** 64n - 1n }] } } },
    ],
    [
      "config.linux.security_context.supplemental_groups_policy",
      { linux: { securityContext: { supplementalGroupsPolicy: 2 as never } } },
    ],
  ])("refuses %s", (path, config) => {
    expect(() => container(config)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining(`"${path}"`) }),
    );
  });

  it("does not repeat a variable's value in the error", () => {
    const envs = [{ key: "TOKEN", value: Buffer.from("secret\0") }];
    let message = "";
    try {
      container({ envs });
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain("TOKEN");
    expect(message).not.toContain("secret");
  });
});

describe("filters and credentials", () => {
  it("selects by what is given only; state 0 is READY and CREATED", () => {
    expect(podFilterFromProto(PodSandboxFilter.fromPartial({}))).toEqual({});
    expect(podFilterFromProto(undefined)).toEqual({});
    expect(podFilterFromProto(PodSandboxFilter.fromPartial({ id: "a", state: {} }))).toEqual({
      id: "a",
      state: "READY",
    });
    const labelSelector = { app: "web" };
    expect(
      containerFilterFromProto(ContainerFilter.fromPartial({ podSandboxId: "p", state: {}, labelSelector })),
    ).toEqual({ podId: "p", state: "CREATED", labels: labelSelector });
    expect(() =>
      containerFilterFromProto(ContainerFilter.fromPartial({ state: { state: 4 as never } })),
    ).toThrow('"filter.state.state"');
  });

  it("passes credentials on", () => {
    expect(authFromProto(undefined)).toBeUndefined();
    const auth = {
      username: "u",
      password: "p",
      auth: "",
      serverAddress: "",
      identityToken: "",
      registryToken: "",
    };
    expect(authFromProto(AuthConfig.fromPartial(auth))).toEqual(auth);
  });
});
