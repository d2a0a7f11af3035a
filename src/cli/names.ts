// Names for containers that were given none.

import { randomInt } from "node:crypto";

const ADJECTIVES =
  "amber able agile azure bold brave bright brisk calm clear clever coral crisp daring deep eager early " +
  "fair fleet fresh gentle glad golden grand green hardy honest humble jolly keen kind light lively " +
  "loyal lucid mellow merry mild modest neat nimble noble patient placid polite proud quick quiet ready " +
  "robust salty serene sharp silver smart snug solid stable steady still sturdy sunny swift tidal tidy " +
  "trim true upbeat vivid warm wise witty young";
const NOUNS =
  "anchor barge bay beacon bosun bow brig buoy cabin canal captain cargo clipper coast compass coxswain " +
  "crane cutter deck dinghy dock dolphin ferry fjord fleet frigate galley gull gulf harbor hatch haven " +
  "heron hull island jetty kayak keel ketch lagoon lantern lighthouse mainsail marina mast mooring " +
  "narwhal navigator oar otter pelican pier pilot porpoise port quay raft reef rigging rudder sailor " +
  "schooner seal sextant shoal shore skiff sloop spar sound stern strait tiller tugboat walrus wharf " +
  "whale windlass yawl";

/** An adjective and a noun, such as "brisk_lighthouse". */
export function inventName(): string {
  return `${choose(ADJECTIVES)}_${choose(NOUNS)}`;
}

function choose(words: string): string {
  const list = words.split(" ");
  return list[randomInt(list.length)] as string;
}
