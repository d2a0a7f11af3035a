// What all subjects of one run share.

import type { MadeImage } from "../../test/images/layout.ts";
import type { Cleanup } from "./cleanup.ts";

export interface Setting {
  readonly cleanup: Cleanup;
  /** Mount point of the scratch file system. */
  readonly scratch: string;
  /** Root of the project. */
  readonly project: string;
  /** Six characters that set this run's names apart. */
  readonly suffix: string;
  /** The probe image. */
  readonly image: MadeImage;
  /** Free networks, one for each engine. */
  readonly subnets: readonly string[];
}
