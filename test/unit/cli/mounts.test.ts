import { expect, test } from "vitest";
import { readMount } from "../../../src/cli/arguments/mounts.ts";

test("a bind mount, with every name that its fields have", () => {
  const bind = {
    hostPath: "/srv",
    containerPath: "/data",
    readonly: false,
    propagation: "private",
    relabel: false,
  };
  expect(readMount("type=bind,source=/srv,target=/data", "/")).toEqual(bind);
  expect(readMount("src=/srv,dst=/data,ro", "/")).toEqual({ ...bind, readonly: true });
  expect(readMount("source=./x,destination=/data,readonly=false", "/here")).toEqual({
    ...bind,
    hostPath: "/here/x",
  });
  expect(readMount("source=/srv,target=/data,bind-propagation=rshared", "/")).toMatchObject({
    propagation: "rshared",
  });
});

test("an image as a volume", () => {
  expect(readMount("type=image,source=docker.io/x/data:1,target=/data,image-subpath=a/b", "/")).toEqual({
    image: "docker.io/x/data:1",
    subPath: "a/b",
    containerPath: "/data",
  });
});

test.each([
  ["target=/data", "source"],
  ["source=/srv,target=data", "begin with"],
  ["type=tmpfs,source=x,target=/data", '"tmpfs"'],
  ["type=image,source=x,target=/data,readonly=false", "read-only"],
  ["type=image,source=x,target=/data,bind-propagation=rslave", "type=bind"],
  ["source=/srv,target=/data,subpath=x", "type=image"],
  ["source=srv,target=/data", "no path"],
  ["source=/srv,target=/data,bind-propagation=constructor", "propagation"],
  ["source=/srv,source=/x,target=/data", "two values"],
  ["source=/srv,target=/data,size=1", '"size"'],
  ["source=/srv,target=/data,__proto__=1", "__proto__"],
  ["source=/srv,target", '"target" needs'],
])("%s is refused", (text, why) => {
  expect(() => readMount(text, "/")).toThrow(why);
});
