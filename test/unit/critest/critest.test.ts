// What is made of a run of critest: no spec may go unseen.

import { describe, expect, it } from "vitest";
import { type Exception, exceptionsOn, keptOut, verdict } from "../../critest/exceptions.ts";
import { readReport, type Spec } from "../../critest/run.ts";

const report = (...specs: object[]) => JSON.stringify([{ SpecReports: specs }]);
const it_ = (text: string, more: object) => ({
  LeafNodeType: "It",
  ContainerHierarchyTexts: ["[k8s.io] Pods", "runtime"],
  LeafNodeText: text,
  RunTime: 2_500_000,
  ...more,
});

describe("a report", () => {
  it("is read spec by spec, without what a filter left out", () => {
    const failure = { Message: "no", Location: { FileName: "/x/cri-tools@v1/pkg/a.go", LineNumber: 7 } };
    const text = report(
      it_("runs", { State: "passed" }),
      it_("fails", { State: "failed", Failure: failure, CapturedGinkgoWriterOutput: "said" }),
      it_("skips", { State: "skipped", Failure: { Message: "no AppArmor" } }),
      it_("was filtered", { State: "skipped" }),
      it_("hangs", { State: "timedout" }),
    );
    expect(readReport(text)).toEqual([
      { name: "[k8s.io] Pods runtime runs", state: "passed", ms: 3, message: "", output: "" },
      {
        name: "[k8s.io] Pods runtime fails",
        state: "failed",
        ms: 3,
        message: "no\nat pkg/a.go:7 (failed)",
        output: "said",
      },
      { name: "[k8s.io] Pods runtime skips", state: "skipped", ms: 3, message: "no AppArmor", output: "" },
      { name: "[k8s.io] Pods runtime hangs", state: "failed", ms: 3, message: "(timedout)", output: "" },
    ]);
  });

  it("shows a failure outside of all specs", () => {
    const text = report({ LeafNodeType: "BeforeSuite", LeafNodeText: "", State: "panicked", RunTime: 0 });
    expect(readReport(text)).toMatchObject([{ name: "BeforeSuite", state: "failed" }]);
  });
});

describe("a verdict", () => {
  const bySuite: Exception = { spec: "A ", count: 1, reason: "no A", bySuite: true };
  const kept: Exception = { spec: "B ", count: 1, reason: "no B", bySuite: false };
  const result = (name: string, state: Spec["state"]): Spec => ({
    name,
    state,
    ms: 1,
    message: "why",
    output: "",
  });
  const of = (name: string, state?: Spec["state"]) =>
    verdict(name, state === undefined ? undefined : result(name, state), [bySuite, kept]);

  it.each([
    ["C 1", "passed", "passed"],
    ["C 1", "failed", "failed"],
    ["C 1", "skipped", "failed"],
    ["C 1", undefined, "failed"],
    ["A 1", "skipped", "skipped"],
    ["A 1", undefined, "failed"],
    ["A 1", "passed", "failed"],
    ["B 1", undefined, "skipped"],
    ["B 1", "skipped", "failed"],
    ["B 1", "failed", "failed"],
  ] as const)("of %s that is %s is %s", (name, state, kind) => expect(of(name, state).kind).toBe(kind));

  it("keeps out of the run what the suite would not skip by itself, as text and not as a pattern", () => {
    expect(keptOut([bySuite, { ...kept, spec: "[k8s.io] B." }])).toEqual(["\\[k8s\\.io\\] B\\."]);
  });

  it("has fewer exceptions on a host that has everything", () => {
    const all = exceptionsOn({ appArmor: true, memoryController: true }).length;
    expect(exceptionsOn({ appArmor: false, memoryController: false })).toHaveLength(all + 2);
  });
});
