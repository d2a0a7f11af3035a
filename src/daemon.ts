// berthd: wires everything together, recovers, listens. Nothing else knows all the parts.

import { chmod, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Server } from "@grpc/grpc-js";
import { destination, pino } from "pino";
import { loadConfig, parseFlags } from "./config.ts";
import { ContainerEvents } from "./cri/container-events.ts";
import { warmLists } from "./cri/list-pieces.ts";
import { criServerOptions, serveCri } from "./cri/serve.ts";
import { bindVerbs } from "./cri/verbs.ts";
import { loadAppArmorProfile } from "./daemon/apparmor-profile.ts";
import { complainOfHandlers } from "./daemon/complain-of-handlers.ts";
import { layerForms, tryErofs } from "./daemon/layer-forms.ts";
import { listen } from "./daemon/listen.ts";
import { monitorBinary } from "./daemon/monitor-binary.ts";
import { openState } from "./daemon/open-state.ts";
import { makeRegistryClient } from "./daemon/registry-client.ts";
import { selinuxContexts } from "./daemon/selinux-contexts.ts";
import { stepObserver } from "./daemon/step-observer.ts";
import { userNamespacesMissing } from "./daemon/user-namespaces.ts";
import { EngineEvents } from "./engine/events.ts";
import { serveEngine } from "./engine/serve.ts";
import { serveImageStore } from "./engine/serve-image-store.ts";
import { serveRegistries } from "./engine/serve-registries.ts";
import { makeImageDeps } from "./images/deps.ts";
import { ImageCollector } from "./images/image-collector.ts";
import { recoverImages } from "./images/recover-images.ts";
import { loadKernel } from "./kernel/binding.ts";
import type { HostFacts, Kernel } from "./kernel/kernel.ts";
import { backgroundCall, type Logger } from "./lib/call.ts";
import { BerthError, messageOf } from "./lib/errors.ts";
import { EventHub } from "./lib/event-hub.ts";
import { releaseSent } from "./lib/service-handlers.ts";
import { version } from "./lib/version.ts";
import { makeMonitorDriver } from "./monitor/connect.ts";
import { makeCniDriver } from "./network/cni.ts";
import { makePaths, type Paths } from "./paths.ts";
import { makePodDeps } from "./pods/deps.ts";
import { Reconciler } from "./reconcile/reconcile.ts";
import { LayerMounts } from "./snapshots/layer-mounts.ts";
import { readImageFile } from "./snapshots/read-image-file.ts";
import { lockDirectory } from "./store/root-lock.ts";
import { StreamingServer } from "./streaming/server.ts";
import type { BerthConfig } from "./types/config.ts";
import type { BerthEvent } from "./types/events.ts";

const USAGE = `Usage: berthd [options]

The container engine's daemon: serves the Kubernetes CRI and berth's own API on a unix socket.

  --config FILE      configuration, /etc/berth/berth.toml by default
  --root DIR         what must last: images, containers, the database (/var/lib/berth)
  --state DIR        what ends with the machine's run (/run/berth)
  --socket PATH      where to listen (<state>/berth.sock)
  --log-level LEVEL  debug, info, warn or error
  --log-file FILE    log there instead of to standard error
  -h, --help         this text
`;

/** passwd and group of an image are hostile: no more of them is read. */
const MAX_USER_FILE_BYTES = 1024 * 1024;
/** How long calls in hand may take to end on SIGTERM. */
const SHUTDOWN_TIMEOUT_MS = 5_000;

async function main(): Promise<void> {
  const flags = parseFlags(process.argv.slice(2));
  if (flags.help === true) {
    process.stdout.write(USAGE);
    return;
  }
  process.umask(0o022);
  const config = loadConfig(flags);
  const log = makeLog(config, flags.logFile);
  process.on("uncaughtException", (error) => die(log, "uncaught exception", error));
  process.on("unhandledRejection", (error) => die(log, "unhandled rejection", error));
  // Node's own way would put plain text between the log's lines.
  process.removeAllListeners("warning");
  process.on("warning", ({ name, message }) => log.warn({ name, warning: message }, "warning of Node.js"));
  const stop = await start(config, log).catch((error: unknown) => die(log, "start failed", error));
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      log.info({ signal }, "stopping; pods go on");
      stop().then(
        () => process.exit(0),
        (error) => die(log, "stop failed", error),
      );
    });
  }
}

function makeLog(config: BerthConfig, logFile: string | undefined): Logger {
  const target = destination({ dest: logFile ?? 2, sync: true, append: true });
  return pino({ level: config.logLevel, base: { pid: process.pid } }, target);
}

function die(log: Logger, what: string, error: unknown): never {
  // What berth itself refuses says all in its message.
  const stack = error instanceof Error && !(error instanceof BerthError) ? error.stack : undefined;
  log.error({ error: messageOf(error), stack }, what);
  process.exit(1);
}

/** Directories that everything relies on. Only root may look into them. */
async function makeDirectories(paths: Paths): Promise<void> {
  for (const path of [paths.root, paths.state]) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  }
  // The socket may lie in the state directory: its group must be able to get there.
  await chmod(paths.state, 0o711);
  const inner = [
    join(paths.snapshots, "l"),
    join(paths.snapshots, "c"),
    join(paths.snapshots, paths.emptyLayerRelative),
    paths.staging,
    paths.rootAttach,
    paths.mountsAttach,
    join(paths.state, "pods"),
    dirname(paths.bundle("0")),
    dirname(paths.monitorSocket("0")),
  ];
  for (const path of inner) await mkdir(path, { recursive: true, mode: 0o700 });
  await mkdir(join(paths.snapshots, paths.emptyRootRelative), { recursive: true });
  await chmod(join(paths.snapshots, paths.emptyRootRelative), 0o755);
  // Hooks in a user namespace get to their own container's.
  await chmod(dirname(paths.bundle("0")), 0o711);
}

/** Returns how to stop. */
async function start(config: BerthConfig, log: Logger): Promise<() => Promise<void>> {
  const paths = makePaths(config.root, config.state, config.socket);
  await makeDirectories(paths);
  const locks = [lockDirectory(paths.root), lockDirectory(paths.state)];
  const parts = await makeParts(config, paths, log);
  const { deps, containerEvents, engineEvents, reconciler, collector, store, network } = parts;

  // Pulls write where the sweep removes, so it ends before the first call.
  const call = backgroundCall(log, deps.observeStep);
  await Promise.all([reconciler.start(), recoverImages(deps, call)]);

  const server = new Server({ ...criServerOptions, interceptors: [releaseSent] });
  const streaming = new StreamingServer(config.streaming, log);
  await streaming.listen();
  serveCri(server, { ...deps, streaming, containerEvents });
  serveEngine(server, { ...deps, engineEvents });
  serveImageStore(server, deps);
  serveRegistries(server, deps);
  // The compiler took a lot to read the program, and nobody waits for an answer yet.
  await deps.kernel.releaseMemory();
  await listen(server, paths.socket);
  collector.start();
  warmLists(bindVerbs(deps)).catch((error) => log.warn({ error: messageOf(error) }, "read what lists show"));
  void complainOfHandlers(deps, log);
  const where = { socket: paths.socket, root: paths.root, state: paths.state, streaming: streaming.url };
  log.info({ version, ...where }, "berthd is ready");

  return async () => {
    // First: their clients are told of the end before the monitors' connections go.
    containerEvents.close();
    engineEvents.close();
    await Promise.all([streaming.close(), endServer(server)]);
    reconciler.stop();
    collector.stop();
    deps.monitors.closeAll();
    await deps.layerMounts.close();
    network.close();
    store.close();
    for (const lock of locks) lock.release();
  };
}

async function makeParts(config: BerthConfig, paths: Paths, log: Logger) {
  const kernel = loadKernel();
  const probing = tryErofs(kernel, config, paths);
  await kernel.loadMonitor(monitorBinary(process.env));
  const store = openState(paths, log);
  const hub = new EventHub<BerthEvent>(log);
  const observeStep = stepObserver(process.env);
  const network = makeCniDriver({ config: config.network, store, log });
  const layerMounts = new LayerMounts({ kernel, paths });
  const common = { store, kernel, paths, config, layerMounts, events: hub.publish };
  const host = await hostFacts(kernel, log);
  const missing = await userNamespacesMissing(kernel, paths, log);
  const forms = layerForms(config, await probing, host.selinux, log);
  const pods = makePodDeps({
    ...common,
    network,
    log,
    host,
    userNamespacesMissing: missing,
    monitorDriver: makeMonitorDriver(),
    readImageFile: (image, path) => readImageFile({ kernel, layerMounts }, image, path, MAX_USER_FILE_BYTES),
  });
  const registry = makeRegistryClient(config.registry);
  const images = makeImageDeps({ ...common, registry, layerForms: forms });
  const deps = { ...images, ...pods, observeStep, hub };
  const containerEvents = new ContainerEvents(bindVerbs(deps));
  hub.subscribe(containerEvents.onEvent);
  const engineEvents = new EngineEvents(deps);
  hub.subscribe(engineEvents.onEvent);
  const reconciler = new Reconciler(deps, backgroundCall(log, observeStep));
  hub.subscribe((event) => reconciler.onEvent(event));
  const collector = new ImageCollector(deps, backgroundCall(log, observeStep));
  hub.subscribe((event) => collector.onEvent(event));
  return { deps, containerEvents, engineEvents, reconciler, collector, store, network };
}

async function hostFacts(kernel: Kernel, log: Logger): Promise<HostFacts> {
  const facts = await kernel.hostFacts();
  const apparmorDefault = facts.apparmor && (await loadAppArmorProfile(log));
  return {
    ...facts,
    apparmorDefault,
    selinuxContexts: facts.selinux ? await selinuxContexts(log) : undefined,
  };
}

/** Lets the calls in hand end, for a while; what they do goes on or is undone at the next start. */
async function endServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, SHUTDOWN_TIMEOUT_MS);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

await main().catch((error: unknown) => {
  process.stderr.write(`berthd: ${messageOf(error)}\n`);
  process.exit(1);
});
