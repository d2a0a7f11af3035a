// Things that may occur in one place only, or nowhere.

import { basename } from "node:path";
import { lineOf, type Problem, type SourceFile, withoutComments } from "./source-file.ts";

interface Ban {
  readonly pattern: RegExp;
  /** Which files the rule is about. */
  readonly where: RegExp;
  readonly except?: RegExp;
  readonly instead: string;
  /** Look at comments too. */
  readonly comments?: true;
}

/** Calls that block the event loop. The RPC verb execSync is none of them. */
const BLOCKING = new RegExp(
  `\\b(?:${[
    "readFile|writeFile|appendFile|copyFile|exists|mkdir|mkdtemp|rm|rmdir|stat|lstat|fstat|readdir",
    "open|close|read|write|unlink|rename|link|symlink|chmod|chown|fsync|realpath|readlink|access",
    "truncate|utimes|cp|spawn",
  ].join("|")})Sync\\(`,
  "g",
);

/** Run once before the daemon listens, or in a short-lived client. */
const START_UP_FILES = [
  "config",
  "daemon",
  "kernel/binding",
  "lib/built-file",
  "store/durable",
  "store/open",
  "store/wal-file",
];
const START_UP = new RegExp(`^src/(?:(?:${START_UP_FILES.join("|")})\\.ts$|(?:config|daemon|cli)/)`);

// Put together, so that this file does not break the rule it states.
const UNFINISHED = new RegExp(
  `\\b(?:${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`,
  "g",
);

const PROCESS_STARTERS = [
  "network/invoke",
  "credentials/credential-helper",
  "daemon/apparmor-profile",
  "handlers/probe-runtime",
];

const BANS: readonly Ban[] = [
  {
    pattern: /["'](?:node:)?child_process["']/g,
    where: /^src\//,
    except: new RegExp(`^src/(?:${PROCESS_STARTERS.join("|")})[.]ts$`),
    instead:
      "the daemon starts only monitors (through the kernel), CNI plugins (src/network/invoke.ts), " +
      "credential helpers (src/credentials/credential-helper.ts), the compiler of AppArmor profiles " +
      "(src/daemon/apparmor-profile.ts) and probes of OCI runtimes (src/handlers/probe-runtime.ts)",
  },
  {
    pattern: /\.node["'`]|\bcreateRequire\b|process\.dlopen/g,
    where: /^src\//,
    except: /^src\/kernel\/binding\.ts$/,
    instead: "the addon is loaded in src/kernel/binding.ts alone; take the Kernel interface",
  },
  {
    pattern:
      /["']better-sqlite3["']|\.(?:prepare|exec)\(\s*["'`]\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE)\b/gi,
    where: /^src\//,
    except: /^src\/store\//,
    instead: "SQL lives in src/store; add a function there",
  },
  {
    pattern: BLOCKING,
    where: /^src\//,
    except: START_UP,
    instead: "use node:fs/promises: this blocks the daemon",
  },
  {
    pattern: /#include <(?:napi|node_api|js_native_api)\.h>/g,
    where: /^addon\//,
    except: /^addon\/binding\//,
    instead: "only addon/binding knows N-API; return a Result",
  },
  {
    pattern: /\bconsole\.\w+\(/g,
    where: /^src\//,
    except: /^src\/cli\//,
    instead: "log through the logger of the Call",
  },
  {
    pattern: /\b(?:system|popen|sprintf|vsprintf|strcpy|strcat|gets)\(/g,
    where: /^addon\//,
    instead: "no shells and no unbounded copies: execve, snprintf",
  },
  { pattern: /^\s*(?:try\s*\{|throw\b)/gm, where: /^addon\//, instead: "no C++ exceptions: return a Result" },
  {
    pattern: /\b(?:it|test|describe)(?:\.\w+)*\.only\b/g,
    where: /^test\//,
    instead: "a test that shuts out the others must not be committed",
  },
  {
    pattern: /\b(?:it|test|describe)\.(?:skip|todo|skipIf|runIf)\b/g,
    where: /^test\//,
    instead: 'a skip says why: ctx.skip(condition, "why") in the test or in a beforeEach',
  },
  {
    pattern: UNFINISHED,
    where: /./,
    comments: true,
    instead: "finish it, or describe the limit in the documentation",
  },
];

const GRAB_BAG = /^(?:utils?|helpers?|common|misc)\.[a-z]+$/;

function describe(file: SourceFile, match: RegExpExecArray, ban: Ban): Problem {
  const where = `${file.path}:${lineOf(file.text, match.index)}`;
  return `${where}: "${match[0].trim()}" is not allowed here; ${ban.instead}`;
}

export function checkBanned(file: SourceFile): Problem[] {
  const code = withoutComments(file.text);
  const bans = BANS.filter((ban) => ban.where.test(file.path) && ban.except?.test(file.path) !== true);
  const found = bans.flatMap((ban) => {
    const text = ban.comments === true ? file.text : code;
    return [...text.matchAll(ban.pattern)].map((match) => describe(file, match, ban));
  });
  if (!GRAB_BAG.test(basename(file.path))) return found;
  return [...found, `${file.path}: a grab bag; name the file after what it is about`];
}
