// A process that pulls an image, or repairs all, and kills itself at a step. Arguments:
// ROOT REFERENCE STEP before|after [repair].

import { pullImage } from "../../../../src/images/pull-image.ts";
import { repairImage } from "../../../../src/images/repair-image.ts";
import { backgroundCall, silentLogger } from "../../../../src/lib/call.ts";
import { makeDeps } from "./deps.ts";

const [root = "", reference = "", step = "", when = ""] = process.argv.slice(2);
const call = backgroundCall(silentLogger, (_verb, at, moment) => {
  if (at === step && moment === when) process.kill(process.pid, "SIGKILL");
});
const deps = makeDeps(root, {}, { keepBlobs: true });
if (process.argv[6] === "repair") await repairImage(deps, call, {});
else await pullImage(deps, call, { image: reference });
