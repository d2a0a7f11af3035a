// Makes tar archives, the well-formed and the hostile ones: every header field can be said outright.

export interface TarEntrySpec {
  path: string;
  /** Type flag: "0" file, "1" hard link, "2" symlink, "3" char, "4" block, "5" directory, "6" FIFO. */
  type?: string;
  mode?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  link?: string;
  data?: Uint8Array | string;
  major?: number;
  minor?: number;
  /** Records of a PAX header before the entry. */
  pax?: Record<string, string | Uint8Array>;
  /** Size to claim instead of the data's own. */
  claimedSize?: number;
  /** Changes the finished header block; its checksum is made again afterwards. */
  patch?: (header: Buffer) => void;
  badChecksum?: boolean;
}

const BLOCK = 512;

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

/** Octal, or base-256 when it does not fit. */
function writeNumber(header: Buffer, value: number, offset: number, size: number): void {
  const octal = value.toString(8);
  if (value >= 0 && octal.length < size) {
    header.write(octal.padStart(size - 1, "0"), offset, "latin1");
    return;
  }
  let rest = BigInt.asUintN(size * 8, BigInt(value));
  for (let at = size - 1; at >= 0; at--) {
    header[offset + at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  header[offset] = (header[offset] as number) | 0x80;
}

export function writeChecksum(header: Buffer, wrong = false): void {
  header.fill(" ", 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0) + (wrong ? 1 : 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

/** One header block (ustar), without data. */
export function tarHeader(spec: TarEntrySpec, size: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write(spec.path, 0, 100, "latin1");
  writeNumber(header, spec.mode ?? (spec.type === "5" ? 0o755 : 0o644), 100, 8);
  writeNumber(header, spec.uid ?? 0, 108, 8);
  writeNumber(header, spec.gid ?? 0, 116, 8);
  writeNumber(header, spec.claimedSize ?? size, 124, 12);
  writeNumber(header, spec.mtime ?? 1_600_000_000, 136, 12);
  header.write(spec.type ?? "0", 156, "latin1");
  header.write(spec.link ?? "", 157, 100, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  writeNumber(header, spec.major ?? 0, 329, 8);
  writeNumber(header, spec.minor ?? 0, 337, 8);
  spec.patch?.(header);
  writeChecksum(header, spec.badChecksum ?? false);
  return header;
}

/** "<length> <key>=<value>\n", where the length counts its own digits. */
export function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value as Uint8Array), Buffer.from("\n")]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

export function paxHeader(records: Record<string, string | Uint8Array>, type = "x"): Buffer {
  const data = Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));
  return Buffer.concat([tarHeader({ path: "PaxHeaders/x", type }, data.length), padded(data)]);
}

/** A GNU long name ("L") or long link ("K") before an entry. */
export function gnuLongName(type: "L" | "K", name: string): Buffer {
  const data = Buffer.from(`${name}\0`);
  return Buffer.concat([tarHeader({ path: "././@LongLink", type }, data.length), padded(data)]);
}

export function tarEntry(spec: TarEntrySpec): Buffer {
  const data = Buffer.from(spec.data ?? "");
  const parts = [tarHeader(spec, data.length), padded(data)];
  if (spec.pax !== undefined) parts.unshift(paxHeader(spec.pax));
  return Buffer.concat(parts);
}

/** A whole archive: entries (or ready-made blocks) and the two zero blocks of its end. */
export function makeTar(entries: readonly (TarEntrySpec | Buffer)[]): Buffer {
  const parts = entries.map((entry) => (Buffer.isBuffer(entry) ? entry : tarEntry(entry)));
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}
