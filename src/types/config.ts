// The daemon's configuration after /etc/berth/berth.toml and the command line were read (src/config.ts).

export interface RegistryMirror {
  /** Such as "http://127.0.0.1:5000"; http only when the URL says so. */
  readonly url: string;
}

export interface RegistryHostConfig {
  /** Tried in order before the registry itself. */
  readonly mirrors: readonly RegistryMirror[];
  /** Talk plain HTTP to the registry itself. Loopback hosts do so by default. */
  readonly plainHttp: boolean;
}

export interface RegistryConfig {
  /** By host as references write it ("registry.k8s.io", "docker.io", "localhost:5000"). */
  readonly hosts: Readonly<Record<string, RegistryHostConfig>>;
}

export interface ImageLimits {
  readonly maxManifestBytes: number;
  readonly maxConfigBytes: number;
  readonly maxLayers: number;
  readonly maxLayerUnpackedBytes: number;
  readonly maxLayerEntries: number;
  /** Layers of one pull that download and unpack at once. */
  readonly parallelLayers: number;
}

export interface NetworkConfig {
  readonly cniConfDir: string;
  readonly cniBinDirs: readonly string[];
  /** IPv4 subnet of berth's own default bridge network, used when cniConfDir holds no configuration. */
  readonly defaultSubnet: string;
  /** Bridge of that network, at most 15 characters (IFNAMSIZ). Default "berth0". */
  readonly bridgeName?: string | undefined;
}

export interface BerthConfig {
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  /** Cgroup beneath the cgroup2 mount for pods that name no parent, such as "/berth". */
  readonly cgroupParent: string;
  readonly cgroupDriver: "cgroupfs" | "systemd";
  /** What to do with a limit whose controller the host lacks. */
  readonly missingController: "refuse" | "warn";
  readonly logLevel: "debug" | "info" | "warn" | "error";
  readonly registry: RegistryConfig;
  readonly images: ImageLimits;
  readonly network: NetworkConfig;
  /** Directory of Localhost seccomp profiles. */
  readonly seccompProfileDir: string;
  /** Use mount(2) for root file systems although the kernel knows fsopen. */
  readonly forceLegacyOverlay: boolean;
}
