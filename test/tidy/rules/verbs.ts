// Verb files: one exported function each, named like the file; names are unique among all verb folders.

import { basename, dirname } from "node:path";
import { type Problem, type SourceFile, withoutComments } from "./source-file.ts";

export const VERB_FOLDERS = ["src/images", "src/containers", "src/pods"];

/**
 * File names that promise an RPC: they start with what an RPC does, or end with what one tells. Other files
 * of these folders (deps.ts, container-lifecycle.ts, record-exit.ts) are parts that verbs share.
 */
const DOES = "create|start|stop|remove|run|list|pull|load|resolve|open|attach|wait|resize|update|reopen";
const VERB = new RegExp(`^(?:${DOES})-(?:container|pod|image|exec|runtime)|^exec-sync|-status\\.ts$`);

const camelCase = (name: string): string =>
  name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

function exportedFunctions(text: string): string[] {
  const code = withoutComments(text);
  const pattern = /^export (?:async )?function\*? (\w+)|^export const (\w+) = (?:async )?(?:<[^>]*>)?\(/gm;
  return [...code.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? "");
}

function checkVerb(file: SourceFile): Problem[] {
  const wanted = camelCase(basename(file.path, ".ts"));
  const functions = exportedFunctions(file.text);
  if (!functions.includes(wanted)) {
    return [
      `${file.path}: exports no function "${wanted}"; a file named like a verb holds it; rename one of them`,
    ];
  }
  const others = functions.filter((name) => name !== wanted);
  if (others.length === 0) return [];
  return [`${file.path}: exports ${others.join(", ")} besides "${wanted}"; one verb, one file`];
}

export function checkVerbs(files: readonly SourceFile[]): Problem[] {
  const verbs = files.filter(({ path }) => VERB_FOLDERS.includes(dirname(path)) && VERB.test(basename(path)));
  const seen = new Map<string, string>();
  const doubles = verbs.flatMap((file) => {
    const name = basename(file.path);
    const other = seen.get(name);
    seen.set(name, file.path);
    return other === undefined ? [] : [`${file.path}: "${other}" has the same name; verb files are unique`];
  });
  return [...verbs.flatMap(checkVerb), ...doubles];
}
