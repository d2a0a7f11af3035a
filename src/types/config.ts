// The daemon's configuration after /etc/berth/berth.toml and the command line were read (src/config.ts).

import type { HandlerConfig } from "./handler.ts";

export interface RegistryMirror {
  /** Such as "http://127.0.0.1:5000"; http only when the URL says so. */
  readonly url: string;
}

/** How to talk to one host, and where else its content is found. */
export interface RegistryHostConfig {
  /** Tried in order before the registry itself. A mirror's own entry says how to talk to it. */
  readonly mirrors: readonly RegistryMirror[];
  /** Talk plain HTTP to it. Undefined: only loopback hosts without any TLS setting. */
  readonly plainHttp?: boolean | undefined;
  readonly insecureSkipVerify?: boolean | undefined;
  /** PEM files of authorities to trust beside the host's own. */
  readonly ca?: readonly string[] | undefined;
  /** PEM files of the client certificate and its key. */
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
  /** URL of a proxy; "direct" for none whatever the environment says. */
  readonly proxy?: string | undefined;
  /** Blobs downloaded from it at once. */
  readonly maxDownloads?: number | undefined;
  /** How repositories are called at its mirrors: the first expression that matches counts. */
  readonly rewrite?: readonly RepositoryRewrite[] | undefined;
}

export interface RepositoryRewrite {
  readonly pattern: string;
  readonly replacement: string;
}

/** As the environment variables of the same names. */
export interface ProxyConfig {
  readonly http: string;
  readonly https: string;
  readonly noProxy: string;
}

export interface RegistryConfig {
  /** By host as references write it ("registry.k8s.io", "docker.io", "localhost:5000"). */
  readonly hosts: Readonly<Record<string, RegistryHostConfig>>;
  /** Directories in the form of containerd's certs.d; the first that knows the host counts. */
  readonly certsDirs?: readonly string[] | undefined;
  /** A docker config.json that pulls without credentials of their own look into; "" for none. */
  readonly dockerConfig?: string | undefined;
  readonly proxy?: ProxyConfig | undefined;
  /** Blobs downloaded at once, from all registries and from one. */
  readonly maxDownloads?: number | undefined;
  readonly maxDownloadsPerRegistry?: number | undefined;
  /** A transfer slower than `minBytesPerSecond` over `stallSeconds` is given up and taken up again. */
  readonly stallSeconds?: number | undefined;
  readonly minBytesPerSecond?: number | undefined;
  /** What interrupted pulls leave for the next try: parts of blobs up to so much, and how long. */
  readonly partialMaxBytes?: number | undefined;
  readonly unfinishedMaxAgeMs?: number | undefined;
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

/**
 * References that are never collected: one as it is kept, or a glob ("*", "?", "[abc]") over the whole of
 * it.
 */
export interface ImagePin {
  readonly pattern: string;
  readonly exact: boolean;
}

/** What is collected without being asked. */
export interface CollectionConfig {
  /** Images of a registry that lost their last name, once that is `graceMs` ago. */
  readonly collectReleased: boolean;
  /** Nothing that was released, or used, more recently is collected. */
  readonly graceMs: number;
  /**
   * When the file system is fuller than the high mark, unused images go, those unused for longest first,
   * until it is below the low one. Null: never.
   */
  readonly marks: { readonly highPercent: number; readonly lowPercent: number } | null;
  readonly intervalMs: number;
}

/** How new layers are kept: "auto" is "erofs" where this host can use such layers, else "directory". */
export type LayerFormat = "auto" | "directory" | "erofs";

export interface ImagesConfig extends ImageLimits {
  readonly layerFormat: LayerFormat;
  /** Keep layers in the form in which the registry sent them, beside the unpacked ones. */
  readonly keepBlobs: boolean;
  readonly pinned: readonly ImagePin[];
  readonly gc: CollectionConfig;
}

export interface NetworkConfig {
  readonly cniConfDir: string;
  readonly cniBinDirs: readonly string[];
  /** IPv4 subnet of berth's own default bridge network, used when cniConfDir holds no configuration. */
  readonly defaultSubnet: string;
  /** IPv6 subnet of that network beside it; "" for none. */
  readonly defaultSubnetV6: string;
  /** Bridge of that network, at most 15 characters (IFNAMSIZ). Default "berth0". */
  readonly bridgeName?: string | undefined;
  /** A pod is attached to so many of the configured networks, as eth0, eth1, and so on. */
  readonly maxNetworks: number;
  /** How long one plugin may take. */
  readonly pluginTimeoutMs: number;
}

export interface StreamingConfig {
  /** Address that Exec, Attach and PortForward are served on. */
  readonly address: string;
  /** 0: a free one. */
  readonly port: number;
  /** Paths of a PEM certificate and its key; both empty: plain HTTP. */
  readonly tlsCertificate: string;
  readonly tlsKey: string;
}

/** Ids of the host that pods get which ask for a user namespace and leave the mapping to the daemon. */
export interface UserNamespaceConfig {
  readonly firstId: number;
  readonly idCount: number;
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
  readonly images: ImagesConfig;
  readonly network: NetworkConfig;
  readonly streaming: StreamingConfig;
  readonly userNamespaces: UserNamespaceConfig;
  /** Directories of CDI specifications; what later ones say wins. */
  readonly cdiSpecDirs: readonly string[];
  /** "native" first, then those of the file. */
  readonly handlers: readonly HandlerConfig[];
  /** What the empty handler name stands for. */
  readonly defaultHandler: string;
  /** Directories of hook descriptions; later ones win. */
  readonly hooksDirs: readonly string[];
  /** Directory of Localhost seccomp profiles. */
  readonly seccompProfileDir: string;
  /** Use mount(2) for root file systems although the kernel knows fsopen. */
  readonly forceLegacyOverlay: boolean;
}
