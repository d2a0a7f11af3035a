// Runs buf for the tests of proto/.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

export const projectRoot: string = join(import.meta.dirname, "..", "..", "..");

/** The descriptor of one proto beneath proto/, compiled now. */
export function compile(path: string): FileDescriptorProto {
  const image = execFileSync(
    join(projectRoot, "node_modules", ".bin", "buf"),
    ["build", "-o", "-", "--as-file-descriptor-set"],
    { cwd: projectRoot, maxBuffer: 64 * 1024 * 1024 },
  );
  const file = fromBinary(FileDescriptorSetSchema, image).file.find(({ name }) => name === path);
  if (file === undefined) throw new Error(`compile protos: "${path}" is not among them`);
  return file;
}
