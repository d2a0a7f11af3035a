// Removes what carries the name of a pod, container or snapshot of which there is no row. Rows are written
// before anything that is named after them, and read here after the listing, so that nothing in the making
// is taken for an orphan. Names outside our own directories carry Paths.instance: daemons that run side by
// side leave each other's alone.

import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { destroyCgroup } from "../cgroups/destroy-cgroup.ts";
import { messageOf } from "../lib/errors.ts";
import { namesIn } from "../lib/optional-file.ts";
import { podCgroupName } from "../paths.ts";
import type { PodDeps } from "../pods/deps.ts";
import { removeSnapshot } from "../snapshots/remove-snapshot.ts";
import { containerNames } from "../store/containers.ts";
import { listedPods } from "../store/listed.ts";
import { podIds } from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";

interface Kind {
  readonly what: string;
  readonly list: () => Promise<string[]>;
  /** Names that rows stand for; called after the listing. */
  readonly known: () => { has(name: string): boolean };
  readonly remove: (name: string) => Promise<void>;
}

/** Removes every orphan; what cannot be removed is logged and met again at the next start. */
export async function removeOrphans(deps: PodDeps): Promise<void> {
  for (const kind of await kinds(deps)) {
    const found = await kind.list();
    const known = kind.known();
    for (const name of found) {
      if (known.has(name)) continue;
      deps.log.info({ name }, `remove orphaned ${kind.what}`);
      try {
        await kind.remove(name);
      } catch (error) {
        deps.log.warn({ name, error: messageOf(error) }, `orphaned ${kind.what} stays`);
      }
    }
  }
}

/** In the order of removal: processes first. */
async function kinds(deps: PodDeps): Promise<Kind[]> {
  const { kernel, paths, store } = deps;
  const parent = join(await kernel.cgroupMount(), deps.config.cgroupParent);
  const ofPods = (name: (id: PodId) => string) => () => new Set(podIds(store).map(name));
  const ours = `berth-${paths.instance}-`;
  const cgroups: Kind = {
    what: "cgroup",
    list: async () => (await namesIn(parent)).filter((name) => name.startsWith(ours)),
    known: ofPods((id) => podCgroupName(paths, id)),
    remove: (name) => destroyCgroup(kernel, join(parent, name), `orphan "${name}"`),
  };
  const namespaces: Kind = {
    what: "network namespace",
    list: async () => (await namesIn(paths.netnsDir)).filter((name) => name.startsWith(ours)),
    known: ofPods((id) => basename(paths.netns(id))),
    remove: (name) => kernel.removeNetns(join(paths.netnsDir, name)),
  };
  const states: Kind = {
    what: "pod directory",
    list: () => namesIn(join(paths.state, "pods")),
    known: ofPods((id) => id),
    remove: (name) => kernel.removeTree(join(paths.state, "pods", name)),
  };
  const sockets: Kind = {
    what: "monitor socket",
    list: () => namesIn(join(paths.state, "m")),
    known: ofPods((id) => basename(paths.monitorSocket(id))),
    remove: (name) => rm(join(paths.state, "m", name), { force: true }),
  };
  const logs: Kind = {
    what: "log directory",
    list: () => namesIn(join(paths.root, "logs")),
    known: ofPods((id) => id),
    remove: (name) => kernel.removeTree(join(paths.root, "logs", name)),
  };
  return [cgroups, namespaces, states, sockets, logs, ...containerKinds(deps)];
}

function containerKinds(deps: PodDeps): Kind[] {
  const { kernel, paths, store } = deps;
  const cgroups: Kind = {
    what: "container cgroup",
    list: async () => {
      // Those of pods without a monitor went with the pod's.
      const pods = (await listedPods(store)).filter(({ monitor }) => monitor !== null);
      const lists = pods.map(async ({ cgroupPath }) =>
        (await namesIn(cgroupPath))
          .filter((name) => /^[cr]-[0-9a-f]{32}$/.test(name))
          .map((name) => join(cgroupPath, name)),
      );
      return (await Promise.all(lists)).flat();
    },
    known: () => {
      const digits = new Set(containerNames(store).map(({ id }) => id.slice(0, 32)));
      return { has: (path) => digits.has(basename(path).slice(2)) };
    },
    remove: (path) => destroyCgroup(kernel, path, `orphan "${path}"`),
  };
  const snapshots: Kind = {
    what: "snapshot",
    list: async () =>
      (await namesIn(join(paths.snapshots, "c"))).filter((name) => /^[0-9a-z]{1,10}$/.test(name)),
    known: () => new Set(containerNames(store).map(({ snapshot }) => snapshot.toString(36))),
    remove: (name) => removeSnapshot(deps, Number.parseInt(name, 36)),
  };
  const bundles: Kind = {
    what: "bundle",
    list: () => namesIn(join(paths.state, "o")),
    known: () => new Set(containerNames(store).map(({ id }) => basename(paths.bundle(id)))),
    remove: (name) => kernel.removeTree(join(paths.state, "o", name)),
  };
  return [cgroups, snapshots, bundles];
}
