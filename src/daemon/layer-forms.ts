// Directories or EROFS images: what new layers become on this host.

import type { LayerForms } from "../images/layer-forms.ts";
import type { LayerKernel } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import type { Paths } from "../paths.ts";
import type { BerthConfig, LayerFormat } from "../types/config.ts";

/**
 * Tries once, on the file system that layers lie on, whether this host can use EROFS images, and logs what
 * follows. FAILED_PRECONDITION when the configuration insists on a form that the host cannot use.
 */
export async function layerForms(
  kernel: Pick<LayerKernel, "probeErofs">,
  config: Pick<BerthConfig, "images" | "forceLegacyOverlay">,
  paths: Paths,
  selinux: boolean,
  log: Logger,
): Promise<LayerForms> {
  const probe = config.forceLegacyOverlay
    ? { missing: "force_legacy_overlay is set, and mount(2) takes no such layers" }
    : await tryErofs(kernel, paths);
  const forms = chooseForms(config.images.layerFormat, probe, selinux);
  log.info({ form: forms.form, reason: forms.reason }, "form of new layers");
  return forms;
}

/** What keeps the host from using the form ("": nothing), or why nobody knows. */
type Probe = { readonly missing: string } | { readonly untried: string };

async function tryErofs(kernel: Pick<LayerKernel, "probeErofs">, paths: Paths): Promise<Probe> {
  try {
    return { missing: await kernel.probeErofs(paths.staging) };
  } catch (error) {
    return { untried: messageOf(error) };
  }
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
