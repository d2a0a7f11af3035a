// The tiers of the test suite. unit and tidy need nothing; kernel and e2e need root and run one file at a
// time, because they count what the host has (mounts, cgroups, network namespaces) before and after. system
// boots a virtual machine of its own.

import { defineConfig } from "vitest/config";

const isRoot = process.getuid?.() === 0;

/** Listing is allowed without root, so that what is skipped can be counted. */
const mayLoad = isRoot || process.env.BERTH_TEST_LIST === "1";

/** What is waited for is another process's doing: on a busy machine a second is nothing. */
const PATIENT = { poll: { timeout: 20_000 } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          expect: PATIENT,
          include: ["test/unit/**/*.test.ts"],
          pool: "threads",
          isolate: false,
          // Some start programs, which on a busy machine takes its time.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "tidy",
          include: ["test/tidy/**/*.test.ts"],
          pool: "threads",
          isolate: false,
        },
      },
      {
        test: {
          name: "kernel",
          expect: PATIENT,
          globalSetup: ["test/runner/host-setup.ts"],
          include: mayLoad ? ["test/kernel/**/*.test.ts"] : [],
          pool: "forks",
          fileParallelism: false,
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "e2e",
          expect: PATIENT,
          globalSetup: ["test/runner/host-setup.ts"],
          include: mayLoad ? ["test/e2e/**/*.test.ts"] : [],
          pool: "forks",
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: "system",
          include: mayLoad ? ["test/system/**/*.test.ts"] : [],
          pool: "forks",
        },
      },
    ],
  },
});
