// What is checked after the machine was reset without warning: no sync, no shutdown.

import { strict as assert } from "node:assert";
import {
  BUSYBOX,
  berth,
  type Check,
  daemonAnswers,
  eventually,
  inspect,
  LAYERED,
  PROBE,
  removeAll,
  traces,
} from "./support.ts";

export const checks: readonly Check[] = [
  {
    name: "after a reset of the machine systemd starts the daemon, and images are there",
    async run() {
      await eventually("the daemon answers", daemonAnswers);
      const names = JSON.stringify(berth("images"));
      for (const reference of [PROBE, BUSYBOX, LAYERED]) {
        const [repository = ""] = reference.split(":");
        assert.ok(names.includes(repository), names);
      }
    },
  },
  {
    name: "after a reset what ran is shown as ended, and what had ended as before",
    run() {
      const { Status, ExitCode } = inspect("crashed").State;
      assert.equal(Status, "exited");
      assert.notEqual(ExitCode, 0);
      const { State } = inspect("finished");
      assert.deepEqual([State.Status, State.ExitCode], ["exited", 0]);
    },
  },
  {
    name: "after a reset the images run and removal leaves nothing",
    async run() {
      berth("rm", "crashed", "finished");
      // The first pod makes the bridge again.
      assert.equal(berth("run", "--rm", BUSYBOX, "echo", "hello"), "hello");
      const before = traces();
      assert.deepEqual(
        before.filter((line) => /^(snapshot|logs|netns|cgroup|process|pod directory|nat rule) /.test(line)),
        [],
      );
      berth("run", "-d", "--name", "again", "-m", "64m", BUSYBOX, "sleep", "10000");
      assert.equal(berth("exec", "again", "echo", "hello"), "hello");
      await removeAll(before);
    },
  },
];
