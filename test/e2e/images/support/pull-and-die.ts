// A process that pulls an image, or repairs all, and kills itself at a step. Arguments:
// ROOT REFERENCE STEP before|after FORM [repair].

import { pullImage } from "../../../../src/images/pull-image.ts";
import { repairImage } from "../../../../src/images/repair-image.ts";
import type { LayerForm } from "../../../../src/kernel/kernel.ts";
import { backgroundCall, silentLogger } from "../../../../src/lib/call.ts";
import { makeDeps } from "./deps.ts";

const [root = "", reference = "", step = "", when = "", form = "", verb] = process.argv.slice(2);
const call = backgroundCall(silentLogger, (_verb, at, moment) => {
  if (at === step && moment === when) process.kill(process.pid, "SIGKILL");
});
const deps = makeDeps(root, {}, { keepBlobs: true, form: form as LayerForm });
if (verb === "repair") await repairImage(deps, call, {});
else await pullImage(deps, call, { image: reference });
