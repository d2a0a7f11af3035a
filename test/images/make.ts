// `node test/images/make.ts probe`: makes an image and prints where it is, as JSON.

import { makeBusyboxImage, makeNginxImage, makeProbeImage } from "./recipes.ts";

const makers = { probe: makeProbeImage, busybox: makeBusyboxImage, nginx: makeNginxImage };
const name = process.argv[2] ?? "";
if (!(name in makers)) throw new Error(`no image "${name}"; known: ${Object.keys(makers).join(", ")}`);
console.log(JSON.stringify(await makers[name as keyof typeof makers]()));
