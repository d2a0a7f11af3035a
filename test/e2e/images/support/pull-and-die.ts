// A process that pulls an image and kills itself at a step. Arguments: ROOT REFERENCE STEP before|after.

import { pullImage } from "../../../../src/images/pull-image.ts";
import { backgroundCall, silentLogger } from "../../../../src/lib/call.ts";
import { makeDeps } from "./deps.ts";

const [root = "", reference = "", step = "", when = ""] = process.argv.slice(2);
const call = backgroundCall(silentLogger, (_verb, at, moment) => {
  if (at === step && moment === when) process.kill(process.pid, "SIGKILL");
});
await pullImage(makeDeps(root, {}), call, { image: reference });
