// News that verbs publish after their commit. The union is closed.

import type { ContainerId, ImageId, Micros, PodId } from "./ids.ts";

export type BerthEvent =
  | { readonly type: "pod-ready" | "pod-stopped" | "pod-removed"; readonly podId: PodId; readonly at: Micros }
  | {
      readonly type: "container-created" | "container-started" | "container-stopped" | "container-removed";
      readonly containerId: ContainerId;
      readonly podId: PodId;
      readonly at: Micros;
    }
  | {
      readonly type: "image-pulled" | "image-tagged" | "image-removed";
      readonly imageId: ImageId;
      readonly at: Micros;
    };

export type EventSink = (event: BerthEvent) => void;
