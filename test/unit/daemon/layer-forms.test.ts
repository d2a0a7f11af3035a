import { describe, expect, it } from "vitest";
import { makeConfig, parseConfigFile } from "../../../src/config.ts";
import { chooseForms, layerForms, tryErofs } from "../../../src/daemon/layer-forms.ts";
import { KernelError } from "../../../src/lib/errors.ts";
import { makePaths } from "../../../src/paths.ts";

const missing = 'fsopen "erofs": ENODEV';
const [able, unable, untried] = [{ missing: "" }, { missing }, { untried: "write: ENOSPC" }];

it.each([
  ["auto", able, false, "erofs", "this host can", ""],
  ["auto", unable, false, "directory", missing, missing],
  ["auto", able, true, "directory", "SELinux", ""],
  ["auto", untried, false, "directory", "ENOSPC", ""],
  ["directory", able, false, "directory", 'layer_format is "directory"', ""],
  ["directory", unable, true, "directory", 'layer_format is "directory"', missing],
  ["erofs", able, false, "erofs", 'layer_format is "erofs"', ""],
  ["erofs", untried, false, "erofs", 'layer_format is "erofs"', ""],
] as const)("%s, %o, SELinux %s: %s", (format, probe, selinux, form, reason, erofsMissing) => {
  expect(chooseForms(format, probe, selinux)).toEqual({
    form,
    reason: expect.stringContaining(reason),
    erofsMissing,
  });
});

it.each([
  [unable, false, missing],
  [able, true, "SELinux"],
  [untried, true, "SELinux"],
])("a host that cannot do what the configuration insists on: %o", (probe, selinux, why) => {
  expect(() => chooseForms("erofs", probe, selinux)).toThrow(
    expect.objectContaining({ code: "FAILED_PRECONDITION", message: expect.stringContaining(why) }),
  );
});

describe("what is tried", () => {
  const paths = makePaths("/r", "/s", "/s/sock");
  const decide = async (text: string, probeErofs: (path: string) => Promise<string>) => {
    const lines: unknown[] = [];
    const log = { debug() {}, info: (fields: object) => void lines.push(fields), warn() {}, error() {} };
    const config = makeConfig(parseConfigFile(text, "berth.toml"));
    const forms = layerForms(config, await tryErofs({ probeErofs }, config, paths), false, log);
    expect(lines).toMatchObject([{ form: forms.form, reason: forms.reason, erofs: expect.any(String) }]);
    return forms;
  };

  it("the file system of the layers", async () => {
    const tried: string[] = [];
    const forms = await decide("", async (path) => {
      tried.push(path);
      return "";
    });
    expect([forms.form, tried]).toEqual(["erofs", [paths.staging]]);
  });

  it("not with mount(2), which takes no such layers", async () => {
    const forms = await decide("force_legacy_overlay = true", async () => "");
    expect(forms).toMatchObject({ form: "directory", erofsMissing: expect.stringContaining("legacy") });
  });

  it("a full disk does not make layers unusable", async () => {
    const forms = await decide("", async () => {
      throw new KernelError("write image", "ENOSPC", paths.staging);
    });
    expect(forms).toMatchObject({
      form: "directory",
      reason: expect.stringContaining("ENOSPC"),
      erofsMissing: "",
    });
  });
});
