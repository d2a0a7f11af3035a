// How the quickstart prints what the probe saw, and how long everything took.

import { readlinkSync } from "node:fs";

const NAMESPACES = ["pid", "mnt", "net", "ipc", "uts", "cgroup", "user", "time"];
const isTerminal = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
const bold = (text) => (isTerminal ? `\x1b[1m${text}\x1b[0m` : text);
const faint = (text) => (isTerminal ? `\x1b[2m${text}\x1b[0m` : text);

const WIDTH = 100;
const LABEL = 16;

/** Words in lines of limited width, indented below the label. */
function wrap(words, separator) {
  const lines = [];
  let line = "";
  for (const word of words) {
    const next = line === "" ? word : `${line}${separator}${word}`;
    if (next.length <= WIDTH - LABEL || line === "") line = next;
    else {
      lines.push(line + separator.trimEnd());
      line = word;
    }
  }
  return [...lines, line];
}

function row(label, value, separator = ", ") {
  const lines = wrap(Array.isArray(value) ? value : [String(value)], separator);
  lines.forEach((line, index) => {
    console.log(`  ${(index === 0 ? label : "").padEnd(LABEL)}${line}`);
  });
}

function hostNamespace(name) {
  return /\[(\d+)\]/.exec(readlinkSync(`/proc/self/ns/${name}`))?.[1] ?? "";
}

function namespaceRows(report) {
  const own = [];
  const shared = [];
  for (const name of NAMESPACES) {
    const inode = report[`namespace_${name}`];
    if (inode === hostNamespace(name)) shared.push(name);
    else own.push(`${name} ${inode}`);
  }
  row("namespaces", own.length === 0 ? ["none of its own"] : own);
  if (shared.length > 0) row("", `${faint("shared with the host:")} ${shared.join(", ")}`);
}

const SECCOMP = { 0: "off", 1: "strict", 2: "filter" };

function mountRows(report) {
  const mounts = report.mounts.map((line) => {
    const [target, type, options] = line.split(" ");
    return `${target} (${type}${/(^|,)ro(,|$)/.test(options) ? ", ro" : ""})`;
  });
  row("mounts", mounts);
}

function limitRow(report) {
  const wanted = ["nofile", "nproc", "core", "stack"];
  const limits = report.limits.map((line) => line.split(" ")).filter(([name]) => wanted.includes(name));
  row(
    "limits",
    limits.map(([name, soft, hard]) => (soft === hard ? `${name} ${soft}` : `${name} ${soft} of ${hard}`)),
  );
}

/** @param report what `probe report --json` printed inside the container, parsed */
export function showReport(report) {
  console.log(`\n${bold("What the container sees")}`);
  row("process", `pid ${report.pid}${report.pid1 ? " (PID 1 of its namespace)" : ""}, parent ${report.ppid}`);
  namespaceRows(report);
  row("user", `uid ${report.uid}, gid ${report.gid}, groups ${report.groups.join(" ") || "none"}`);
  row("capabilities", report.capabilities.length === 0 ? ["none"] : report.capabilities, " ");
  row("seccomp", `${SECCOMP[report.seccomp] ?? report.seccomp}, ${report.seccomp_filters} installed`);
  row("no_new_privs", report.no_new_privs ? "set" : "not set");
  row("hostname", report.hostname);
  row(
    "addresses",
    report.addresses.filter((address) => !address.includes("fe80:")),
  );
  row(
    "cgroup",
    report.cgroup.filter((line) => line.startsWith("0::")).map((line) => line.slice(3)),
  );
  mountRows(report);
  limitRow(report);
  row("descriptors", report.descriptors.length === 0 ? ["none"] : report.descriptors);
  row("environment", report.environment, "  ");
}

export function formatMs(milliseconds) {
  if (milliseconds >= 10_000) return `${(milliseconds / 1000).toFixed(0)} s`;
  return milliseconds >= 1000 ? `${(milliseconds / 1000).toFixed(1)} s` : `${milliseconds.toFixed(0)} ms`;
}

/** @param {[string, number, string?][]} phases name, milliseconds, remark */
export function showTimes(phases) {
  console.log(`\n${bold("How long it took")}`);
  for (const [name, milliseconds, remark] of phases) {
    const time = formatMs(milliseconds).padStart(8);
    console.log(`  ${name.padEnd(LABEL + 12)}${time}${remark === undefined ? "" : `   ${faint(remark)}`}`);
  }
}

export function showNext() {
  const lines = [
    ["sudo out/berthd", "a daemon that stays: /var/lib/berth, /run/berth/berth.sock"],
    ["out/berth run --rm -it docker.io/library/busybox sh", "a container from a registry"],
    ["out/berth --help", "everything else the command line does"],
    ["crictl -r unix:///run/berth/berth.sock info", "the same daemon, seen by Kubernetes tools"],
    ["npm test", "the whole test suite"],
  ];
  console.log(`\n${bold("What to type next")}`);
  for (const [command, meaning] of lines) console.log(`  ${command.padEnd(54)}${faint(meaning)}`);
}
