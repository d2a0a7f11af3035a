// Directories or EROFS images: what new layers become on this host.

import type { LayerForms } from "../images/layer-forms.ts";
import type { LayerKernel } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import type { Paths } from "../paths.ts";
import type { BerthConfig, LayerFormat } from "../types/config.ts";

/** What keeps the host from using the form ("": nothing), or why nobody knows. */
export type Probe = { readonly missing: string } | { readonly untried: string };

/**
 * Tries on the file system that layers lie on whether this host can use EROFS images. It takes milliseconds,
 * mostly for a sync: whoever starts has other things to do meanwhile. Does not reject.
 */
export async function tryErofs(
  kernel: Pick<LayerKernel, "probeErofs">,
  config: Pick<BerthConfig, "forceLegacyOverlay">,
  paths: Paths,
): Promise<Probe> {
  if (config.forceLegacyOverlay) {
    return { missing: "force_legacy_overlay is set, and mount(2) takes no such layers" };
  }
  try {
    return { missing: await kernel.probeErofs(paths.staging) };
  } catch (error) {
    return { untried: messageOf(error) };
  }
}

/**
 * What follows for new layers, which is logged, and for those that are there. FAILED_PRECONDITION when the
 * configuration insists on a form that the host cannot use.
 */
export function layerForms(
  config: Pick<BerthConfig, "images">,
  probe: Probe,
  selinux: boolean,
  log: Logger,
): LayerForms {
  const forms = chooseForms(config.images.layerFormat, probe, selinux);
  const erofs = "untried" in probe ? `not tried: ${probe.untried}` : probe.missing || "usable";
  log.info({ form: forms.form, reason: forms.reason, erofs }, "form of new layers");
  return forms;
}

/** A full disk says nothing about the kernel: what is there in the erofs form then stays as it is. */
export function chooseForms(format: LayerFormat, probe: Probe, selinux: boolean): LayerForms {
  const missing = "missing" in probe ? probe.missing : `it could not be tried (${probe.untried})`;
  const erofsMissing = "missing" in probe ? probe.missing : "";
  const because = `layer_format is "${format}"`;
  const unfit = selinux ? "SELinux is on, and labels of EROFS images are not supported" : missing;
  if (format === "directory") return { form: "directory", reason: because, erofsMissing };
  if (format === "erofs") {
    if (!selinux && erofsMissing === "") return { form: "erofs", reason: because, erofsMissing };
    throw new BerthError(
      "FAILED_PRECONDITION",
      `[images] layer_format "erofs" cannot be used on this host: ${unfit}; set it to "auto" or "directory"`,
    );
  }
  if (unfit === "") return { form: "erofs", reason: "this host can mount EROFS images", erofsMissing };
  return { form: "directory", reason: `EROFS images cannot be used: ${unfit}`, erofsMissing };
}
