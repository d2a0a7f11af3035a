// Starting programs from the set-up scripts. They run before `npm ci`, so only Node's own modules.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const bin = join(projectRoot, "node_modules/.bin");

/** PATH with the project's own programs first, so that children run on the pinned Node. */
export function projectEnvironment(extra = {}) {
  const path = [bin, process.env.PATH ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
  return { ...process.env, PATH: path.join(delimiter), ...extra };
}

/** The pinned Node when npm has put it there, else the one that runs this script. */
export function projectNode() {
  const pinned = join(bin, "node");
  return existsSync(pinned) ? pinned : process.execPath;
}

/**
 * Runs a program to its end without a terminal's input. `quiet` keeps the output (and shows it only in the
 * error); otherwise it goes to ours. `check: false` returns a non-zero exit code instead of throwing.
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
export function run(command, args, { cwd = projectRoot, env = {}, quiet = false, check = true } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: projectEnvironment(env),
      stdio: ["ignore", quiet ? "pipe" : "inherit", quiet ? "pipe" : "inherit"],
    });
    const output = { stdout: "", stderr: "" };
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      output.stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      output.stderr += text;
    });
    child.once("error", (error) => reject(new Error(`start "${command}": ${error.message}`)));
    child.once("close", (status, signal) => {
      const code = status ?? 128;
      if (code === 0 || !check) return resolve({ code, ...output });
      const tail = `${output.stdout}${output.stderr}`.trim().split("\n").slice(-30).join("\n");
      const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
      reject(new Error(`run "${[command, ...args].join(" ")}": ${how}${tail === "" ? "" : `\n${tail}`}`));
    });
  });
}

/** True when a program of that name is on the PATH of `projectEnvironment`. */
export function isOnPath(program) {
  const folders = projectEnvironment().PATH.split(delimiter);
  return folders.some((folder) => existsSync(join(folder, program)));
}
