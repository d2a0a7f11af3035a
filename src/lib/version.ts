// The one version of the daemon and of the command line: that of the package.

import manifest from "../../package.json" with { type: "json" };

export const version: string = manifest.version;
