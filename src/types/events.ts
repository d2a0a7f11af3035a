// News that verbs publish after their commit. The union is closed.

import type { Container } from "./container.ts";
import type { ContainerId, ImageId, Micros, PodId } from "./ids.ts";
import type { Pod } from "./pod.ts";

export type BerthEvent =
  | { readonly type: "pod-ready" | "pod-stopped"; readonly podId: PodId; readonly at: Micros }
  /** With the row as it was last. */
  | { readonly type: "pod-removed"; readonly podId: PodId; readonly at: Micros; readonly pod: Pod }
  | {
      readonly type: "container-created" | "container-started" | "container-stopped";
      readonly containerId: ContainerId;
      readonly podId: PodId;
      readonly at: Micros;
    }
  | {
      readonly type: "container-removed";
      readonly containerId: ContainerId;
      readonly podId: PodId;
      readonly at: Micros;
      readonly container: Container;
    }
  | {
      readonly type: "image-pulled" | "image-tagged" | "image-removed";
      readonly imageId: ImageId;
      readonly at: Micros;
    };

export type EventSink = (event: BerthEvent) => void;
