import { describe, expect, test } from "vitest";
import type { UserInput } from "../../../src/spec/inputs.ts";
import { execUserInput, resolveUser } from "../../../src/spec/resolve-user.ts";

const PASSWD = [
  "root:x:0:0:root:/root:/bin/sh",
  "# comment",
  "",
  "broken line",
  "no-ids:x:::home:/x:/bin/sh",
  "huge:x:99999999999999999999:0::/:",
  "web:x:1000:1000:Web:/home/web:/bin/sh",
  "relative:x:1001:1001::home:/bin/sh",
  "short:x:1002:1003",
  "twice:x:1000:77::/other:",
].join("\n");
const GROUP = [
  "root:x:0:",
  "web:x:1000:",
  "extra:x:50000:web,other",
  "spaced:x:50001: web , x",
  "broken",
  "more:x:nan:web",
  "noweb:x:50002:webx,xweb",
].join("\n");

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function input(
  security: Partial<UserInput["security"]>,
  imageUser = "",
  files: Partial<UserInput> = {},
): UserInput {
  return {
    security: {
      runAsUsername: "",
      supplementalGroups: [],
      supplementalGroupsPolicy: "Merge",
      ...security,
    },
    imageUser,
    passwd: bytes(PASSWD),
    group: bytes(GROUP),
    ...files,
  };
}

describe("who", () => {
  test.each([
    ["nobody asks: root", {}, "", [0, 0]],
    ["image name", {}, "web", [1000, 1000]],
    ["image uid", {}, "1000", [1000, 1000]],
    ["image name and group", {}, "web:extra", [1000, 50000]],
    ["image name and gid", {}, "web:42", [1000, 42]],
    ["image uid that has no entry", {}, "4711", [4711, 0]],
    ["image uid and gid without entries", {}, "4711:4712", [4711, 4712]],
    ["image group alone", {}, ":extra", [0, 50000]],
    ["run_as_user", { runAsUser: 1000 }, "root", [1000, 1000]],
    ["run_as_user 0 over the image's", { runAsUser: 0 }, "web", [0, 0]],
    ["run_as_user with group", { runAsUser: 1001, runAsGroup: 1002 }, "", [1001, 1002]],
    ["run_as_username", { runAsUsername: "web" }, "root", [1000, 1000]],
    ["run_as_username with group", { runAsUsername: "web", runAsGroup: 5 }, "", [1000, 5]],
    ["entry with few fields", {}, "short", [1002, 1003]],
    ["the first of two entries of a uid", { runAsUser: 1000 }, "", [1000, 1000]],
  ] as const)("%s", (_, security, imageUser, [uid, gid]) => {
    expect(resolveUser(input(security, imageUser))).toMatchObject({ uid, gid });
  });

  test("home comes from the entry, and is / without one", () => {
    expect(resolveUser(input({}, "web")).home).toBe("/home/web");
    expect(resolveUser(input({}, "relative")).home).toBe("/");
    expect(resolveUser(input({}, "4711")).home).toBe("/");
    expect(resolveUser(input({}, "", { passwd: null, group: null }))).toEqual({
      uid: 0,
      gid: 0,
      groups: [0],
      home: "/",
    });
  });
});

describe("groups", () => {
  test("Merge adds those of /etc/group", () => {
    const user = resolveUser(input({ runAsUser: 1000, supplementalGroups: [1234] }));
    expect(user.groups).toEqual([1000, 1234, 50000, 50001]);
  });

  test("Strict does not", () => {
    const security = {
      runAsUser: 1000,
      supplementalGroups: [1234],
      supplementalGroupsPolicy: "Strict",
    } as const;
    expect(resolveUser(input(security)).groups).toEqual([1000, 1234]);
  });

  test("a uid without a name is in no group", () => {
    expect(resolveUser(input({ runAsUser: 4711, supplementalGroups: [7, 7] })).groups).toEqual([0, 7]);
  });

  test("more than the kernel takes are refused", () => {
    const group = bytes(Array.from({ length: 70_000 }, (_, gid) => `g${gid}:x:${gid}:web`).join("\n"));
    expect(() => resolveUser(input({}, "web", { group }))).toThrow("70000 supplementary groups");
  });
});

describe("refusals", () => {
  test.each([
    [
      "unknown user",
      { runAsUsername: "ghost" },
      "",
      'user "ghost": no such name in the image\'s /etc/passwd',
    ],
    ["unknown group", {}, "web:ghosts", 'group "ghosts": no such name in the image\'s /etc/group'],
    ["name that looks like a number", {}, "12a", 'user "12a"'],
    ["negative", {}, "-1", 'user "-1"'],
    ["group without user", { runAsGroup: 5 }, "", "run_as_group 5 is set without run_as_user"],
    ["user and name", { runAsUser: 1, runAsUsername: "web" }, "", "both run_as_user 1 and run_as_username"],
    ["uid too large", { runAsUser: 2 ** 32 - 1 }, "", "user id 4294967295"],
    ["uid not whole", { runAsUser: 1.5 }, "", "user id 1.5"],
    ["image uid too large", {}, "99999999999999", "user id 99999999999999"],
    ["negative group", { runAsUser: 1, runAsGroup: -1 }, "", "group id -1"],
    ["supplemental group", { supplementalGroups: [-5] }, "", "group id -5"],
  ] as const)("%s", (_, security, imageUser, message) => {
    expect(() => resolveUser(input(security, imageUser))).toThrow(message);
    expect(() => resolveUser(input(security, imageUser))).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });
});

describe("hostile files", () => {
  test.each([
    ["binary", new Uint8Array(65536).map((_, i) => (i * 7919) % 256)],
    ["NULs", new Uint8Array(4096)],
    ["one long line", bytes("a".repeat(1_000_000))],
    ["colons", bytes(":".repeat(200_000))],
    ["newlines", bytes("\n".repeat(200_000))],
    ["prototype names", bytes("__proto__:x:1:1::/:\nconstructor:x:2:2::/:")],
  ])("%s", (_, file) => {
    const files = { passwd: file, group: file };
    expect(resolveUser(input({ runAsUser: 4711 }, "", files)).uid).toBe(4711);
    expect(() => resolveUser(input({ runAsUsername: "ghost" }, "", files))).toThrow('user "ghost"');
  });

  test("a name with bytes beyond ASCII is found", () => {
    const passwd = bytes("grün:x:5:6::/home/grün:/bin/sh");
    expect(resolveUser(input({}, "grün", { passwd }))).toMatchObject({ uid: 5, gid: 6 });
  });
});

test("the user of an exec is written as in an image", () => {
  const files = { passwd: bytes(PASSWD), group: bytes(GROUP) };
  expect(resolveUser(execUserInput("web:extra", files))).toMatchObject({ uid: 1000, gid: 50000 });
});
