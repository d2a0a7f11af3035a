// proto/runtime/v1/api.proto against the facts of the interface: what kubelets and crictl send.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { clone } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { beforeAll, describe, expect, it } from "vitest";
import { compile, projectRoot } from "./buf.ts";
import { rowsOf } from "./table.ts";

const table = readFileSync(join(projectRoot, "test", "vectors", "cri-v1.tsv"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .slice(1);

describe("the CRI proto", () => {
  let file: ReturnType<typeof compile>;
  beforeAll(() => {
    file = compile("runtime/v1/api.proto");
  }, 30_000);

  it("has every call, message, field and enum value of the interface, and no others", () => {
    const rows = rowsOf(file);
    const here = new Set(rows);
    const there = new Set(table);
    expect(table.filter((line) => !here.has(line))).toEqual([]);
    expect(rows.filter((line) => !there.has(line))).toEqual([]);
    expect(rows).toHaveLength(table.length);
  });

  it("has 43 calls, 175 messages and 11 enums in package runtime.v1", () => {
    const enums = file.enumType.length + file.messageType.flatMap((message) => message.enumType).length;
    const calls = file.service.map((service) => service.method.length);
    expect([file.package, calls, file.messageType.length, enums]).toEqual(["runtime.v1", [37, 6], 175, 11]);
  });

  it("marks the secrets of AuthConfig", () => {
    const auth = file.messageType.find(({ name }) => name === "AuthConfig");
    const secret = auth?.field.filter((field) => field.options?.debugRedact).map((field) => field.name);
    expect(secret).toEqual(["password", "auth", "identity_token", "registry_token"]);
  });

  it("notices a field that changed its number", () => {
    const broken = clone(FileDescriptorProtoSchema, file);
    const version = broken.messageType.find(({ name }) => name === "VersionResponse");
    const fields = version?.field ?? [];
    if (fields[1] !== undefined) fields[1].number = 9;
    const here = new Set(rowsOf(broken));
    expect(table.filter((line) => !here.has(line))).toEqual([
      "field\tVersionResponse\truntime_name\t2\tstring\t",
    ]);
  });
});
