import { describe, expect, it } from "vitest";
import { pick } from "../../../src/engine/names.ts";

const objects = [
  { id: "aa11", name: "web" },
  { id: "aa22", name: "bb" },
  { id: "bb33", name: "twin" },
  { id: "cc44", name: "twin" },
];
const find = (wanted: string) => pick("container", objects, ({ name }) => name, wanted).id;

describe("pick", () => {
  it("prefers ids to names, and names to beginnings of ids", () => {
    expect(find("aa11")).toBe("aa11");
    expect(find("web")).toBe("aa11");
    expect(find("bb")).toBe("aa22");
    expect(find("bb3")).toBe("bb33");
  });
  it("refuses what fits nothing or several", () => {
    expect(() => find("zz")).toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
    expect(() => find("aa")).toThrow('"aa" fits 2 containers (aa11, aa22)');
    expect(() => find("twin")).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(() => find("")).toThrow("empty");
  });
});
