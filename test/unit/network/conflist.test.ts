import { describe, expect, test } from "vitest";
import { parseNetworkList, serialiseNetworkList } from "../../../src/network/conflist.ts";

const bridge = { type: "bridge", ipam: { type: "host-local" } };

describe("parseNetworkList", () => {
  const accepted: [string, object, { version: string; types: string[] }][] = [
    [
      "a list",
      { cniVersion: "1.0.0", name: "n", plugins: [bridge, { type: "portmap" }] },
      { version: "1.0.0", types: ["bridge", "portmap"] },
    ],
    [
      "a single plugin",
      { cniVersion: "0.3.1", name: "n", ...bridge },
      { version: "0.3.1", types: ["bridge"] },
    ],
    [
      "several versions: the newest known",
      { cniVersion: "0.4.0", cniVersions: ["0.3.1", "1.1.0", "2.0.0"], name: "n", plugins: [bridge] },
      { version: "1.1.0", types: ["bridge"] },
    ],
  ];
  test.each(accepted)("takes %s", (_, document, want) => {
    const list = parseNetworkList(JSON.stringify(document));
    expect(list.cniVersion).toBe(want.version);
    expect(list.plugins.map((plugin) => plugin.type)).toEqual(want.types);
    expect(list.plugins[0]?.ipamType).toBe("host-local");
  });

  const refused: [string, string][] = [
    ["", "not JSON"],
    ["[]", "not a JSON object"],
    ["null", "not a JSON object"],
    ['{"cniVersion":"1.0.0","plugins":[]}', '"name" is missing'],
    ['{"cniVersion":"1.0.0","name":"../x","plugins":[]}', '"name" is "../x"'],
    ['{"cniVersion":"1.0.0","name":7,"plugins":[]}', '"name" must be a string'],
    ['{"name":"n","type":"bridge"}', '"cniVersion" is missing'],
    ['{"cniVersion":"0.5.0","name":"n","type":"bridge"}', '"cniVersion" is "0.5.0"; berth speaks 0.1.0'],
    ['{"cniVersion":"9","name":"n","type":"bridge"}', '"cniVersion" is "9"'],
    ['{"cniVersion":"1.0.0","name":"n"}', 'no "type"'],
    ['{"cniVersion":"1.0.0","name":"n","plugins":{}}', '"plugins" must be an array'],
    ['{"cniVersion":"1.0.0","name":"n","loadOnlyInlinedPlugins":true,"plugins":[]}', '"plugins" is empty'],
    ['{"cniVersion":"1.0.0","name":"n","plugins":[7]}', "plugin 0 must be an object"],
    ['{"cniVersion":"1.0.0","name":"n","plugins":[{}]}', 'plugin 0 has no "type"'],
    ['{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"../sh"}]}', "plain name of a plugin's binary"],
    ['{"cniVersion":"1.0.0","name":"n","plugins":[{"type":".."}]}', "plain name of a plugin's binary"],
    ['{"cniVersion":"1.0.0","name":"n","type":"b","ipam":{"type":"/bin/sh"}}', '"ipam.type"'],
    ['{"cniVersion":"1.0.0","name":"n","type":"b","capabilities":[]}', '"capabilities"'],
  ];
  test.each(refused)("refuses %s", (text, message) => {
    expect(() => parseNetworkList(text)).toThrow(message);
  });

  test("what is recorded reads back the same, unknown keys included", () => {
    const list = parseNetworkList(
      JSON.stringify({
        cniVersion: "1.0.0",
        name: "n",
        disableCheck: true,
        disableGC: "true",
        plugins: [{ ...bridge, mtu: 1400, capabilities: { portMappings: true, dns: false } }],
      }),
    );
    const again = parseNetworkList(serialiseNetworkList(list));
    expect(again.plugins).toEqual(list.plugins);
    expect([again.disableCheck, again.disableGC]).toEqual([true, true]);
    expect(again.plugins[0]?.capabilities).toEqual(["portMappings"]);
    expect(again.plugins[0]?.config.mtu).toBe(1400);
  });
});
