// The table [user_namespaces] of berth.toml.

import { type Static, Type } from "typebox";
import { BerthError } from "../lib/errors.ts";
import type { UserNamespaceConfig } from "../types/config.ts";

const IDS_OF_A_POD = 65_536;
/** The last id means "none" (user_namespaces(7)). */
const MAX_ID = 0xffff_fffe;

const ids = Type.Optional(Type.Integer({ minimum: IDS_OF_A_POD, maximum: MAX_ID }));

export const UserNamespacesSchema = Type.Object({ first_id: ids, id_count: ids });

/** Fills in the defaults: between what systemd gives to its containers and what it keeps (UIDS-GIDS). */
export function userNamespacesOf(table: Static<typeof UserNamespacesSchema> = {}): UserNamespaceConfig {
  const { first_id: firstId = 0x7000_0000, id_count: idCount = 0x0ffe_0000 } = table;
  if (firstId + idCount - 1 <= MAX_ID) return { firstId, idCount };
  throw new BerthError(
    "INVALID_ARGUMENT",
    `user_namespaces: ${idCount} ids from ${firstId} on are more than there are; lower one of the two`,
  );
}
