// A daemon on scratch directories of its own, and everything needed to leave no trace of it.

import { spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { projectEnvironment, projectNode, projectRoot, run } from "../lib/run.mjs";

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 20_000;
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Mount point of the cgroup2 hierarchy; throws on a host without one. */
function cgroupMount() {
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [, target, type] = line.split(" ");
    if (type === "cgroup2") return target;
  }
  throw new Error("this host has no cgroup2 mount; berth needs one (boot with cgroup v2, or mount it)");
}

const controllersFile = () => join(cgroupMount(), "cgroup.subtree_control");
const enabledControllers = () => readFileSync(controllersFile(), "utf8").split(/\s+/).filter(Boolean);

/** Switches off those that the daemon has switched on, unless somebody else uses them by now. */
function giveControllersBack({ controllers }) {
  for (const controller of enabledControllers().filter((one) => !controllers.includes(one))) {
    try {
      writeFileSync(controllersFile(), `-${controller}`);
    } catch (error) {
      if (error.code !== "EBUSY") throw error;
    }
  }
}

/** First 10.213.X.0/24 that no route of the host overlaps. */
function freeSubnet() {
  const routes = readFileSync("/proc/net/route", "utf8").trim().split("\n").slice(1);
  const little = (hexadecimal) => Buffer.from(hexadecimal, "hex").readUInt32LE(0);
  const nets = routes.map((line) => line.split("\t")).map((row) => [little(row[1]), little(row[7])]);
  for (let third = 0; third < 256; third++) {
    const address = ((10 << 24) | (213 << 16) | (third << 8)) >>> 0;
    // A default route (mask 0) covers everything and conflicts with nothing.
    const taken = nets.some(([net, mask]) => mask !== 0 && (address & mask) >>> 0 === net);
    if (!taken) return `10.213.${third}.0/24`;
  }
  throw new Error("every network below 10.213.0.0/16 is in use on this host");
}

/** @returns {object} names of everything the trial will make */
export function planTrial() {
  const folder = mkdtempSync("/tmp/berth-quickstart-");
  const suffix = folder.slice(-6);
  const bridge = `bq-${suffix}`;
  return {
    folder,
    bridge,
    root: join(folder, "root"),
    state: join(folder, "state"),
    socket: join(folder, "berth.sock"),
    log: join(folder, "berthd.log"),
    config: join(folder, "berth.toml"),
    cgroupParent: `/berth-quickstart-${suffix}`,
    /** Switched on in the root of the hierarchy before the daemon came. */
    controllers: enabledControllers(),
    addressDirectory: `/var/lib/cni/networks/berth-${bridge}`,
    daemon: null,
    /** Names of containers that exist. */
    containers: [],
  };
}

function writeConfig(trial) {
  const empty = join(trial.folder, "no-cni");
  mkdirSync(empty);
  const lines = [
    `cgroup_parent = "${trial.cgroupParent}"`,
    "[network]",
    `cni_conf_dir = "${empty}"`,
    `default_subnet = "${freeSubnet()}"`,
    `bridge_name = "${trial.bridge}"`,
  ];
  writeFileSync(trial.config, `${lines.join("\n")}\n`);
}

function answers(socket) {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", () => resolve(false));
  });
}

function lastLines(path) {
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n").slice(-15).join("\n") : "";
}

export async function startDaemon(trial) {
  writeConfig(trial);
  const log = openSync(trial.log, "a");
  const flags = [
    "--config",
    trial.config,
    "--root",
    trial.root,
    "--state",
    trial.state,
    "--socket",
    trial.socket,
  ];
  const child = spawn(projectNode(), [join(projectRoot, "out/berthd.mjs"), ...flags], {
    cwd: "/",
    env: projectEnvironment(),
    stdio: ["ignore", log, log],
    // A group of its own: Ctrl-C reaches only this script, which then removes everything in order.
    detached: true,
  });
  closeSync(log);
  trial.daemon = child;
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (!(await answers(trial.socket))) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended)
      throw new Error(`berthd ended (${child.exitCode ?? child.signalCode}):\n${lastLines(trial.log)}`);
    if (Date.now() > deadline) throw new Error(`berthd did not listen in time:\n${lastLines(trial.log)}`);
    await sleep(10);
  }
}

/** Runs the command line against the trial's daemon and returns its output. */
export async function berth(trial, ...args) {
  const { stdout } = await run(
    projectNode(),
    [join(projectRoot, "out/berth.cjs"), "-H", trial.socket, ...args],
    {
      quiet: true,
    },
  );
  return stdout;
}

function isRunning({ daemon }) {
  return daemon !== null && daemon.exitCode === null && daemon.signalCode === null;
}

export async function removeContainers(trial) {
  if (trial.containers.length > 0 && isRunning(trial)) await berth(trial, "rm", "-f", ...trial.containers);
  trial.containers = [];
}

async function stopDaemon(trial) {
  if (!isRunning(trial)) return;
  const child = trial.daemon;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(late);
}

function removeCgroups(path) {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroups(join(path, entry.name));
  }
  rmdirSync(path);
}

/** Whatever is left of the trial's pods dies with their cgroup. */
async function killCgroups(trial) {
  const path = join(cgroupMount(), trial.cgroupParent);
  if (!existsSync(path)) return;
  writeFileSync(join(path, "cgroup.kill"), "1");
  for (let attempt = 0; attempt < 200; attempt++) {
    if (readFileSync(join(path, "cgroup.events"), "utf8").includes("populated 0")) break;
    await sleep(10);
  }
  removeCgroups(path);
}

/** Mount points below `folder`, deepest first. */
function mountsBelow(folder) {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const targets = mounts
    .map((line) => line.split(" ")[1] ?? "")
    .filter((target) => target.startsWith(`${folder}/`));
  return targets.reverse();
}

/** Stops the daemon and removes all that the trial made; tries every step although an earlier one failed. */
export async function removeTrial(trial, netnsPaths) {
  const problems = [];
  const attempt = async (what, step) => {
    try {
      await step();
    } catch (error) {
      problems.push(`${what}: ${error.message}`);
    }
  };
  await attempt("remove containers", () => removeContainers(trial));
  await attempt("stop berthd", () => stopDaemon(trial));
  await attempt("remove cgroups", () => killCgroups(trial));
  await attempt("give back cgroup controllers", () => giveControllersBack(trial));
  for (const path of netnsPaths.filter((name) => existsSync(name))) {
    await attempt(`unpin "${path}"`, () => run("umount", [path], { quiet: true, check: false }));
    await attempt(`remove "${path}"`, () => rmSync(path, { force: true }));
  }
  if (existsSync(`/sys/class/net/${trial.bridge}`)) {
    await attempt("remove the bridge", () => run("ip", ["link", "delete", trial.bridge], { quiet: true }));
  }
  await attempt("remove addresses", () => rmSync(trial.addressDirectory, { recursive: true, force: true }));
  for (const path of mountsBelow(trial.folder)) {
    await attempt(`unmount "${path}"`, () => run("umount", [path], { quiet: true }));
  }
  // Never through a mount that is still there.
  if (mountsBelow(trial.folder).length === 0) {
    await attempt("remove files", () => rmSync(trial.folder, { recursive: true, force: true }));
  }
  return problems;
}
