// Addresses that only this machine has: nobody from outside may send us there.

import { type LookupAddress, type LookupOptions, lookup } from "node:dns";
import { BlockList, isIP } from "node:net";

const ours = new BlockList();
ours.addSubnet("127.0.0.0", 8, "ipv4");
ours.addSubnet("169.254.0.0", 16, "ipv4");
ours.addSubnet("0.0.0.0", 8, "ipv4");
ours.addAddress("::1", "ipv6");
ours.addAddress("::", "ipv6");
ours.addSubnet("fe80::", 10, "ipv6");
// Where clouds tell a machine its secrets, apart from 169.254.169.254: AWS, Alibaba.
ours.addAddress("fd00:ec2::254", "ipv6");
ours.addAddress("100.100.100.200", "ipv4");

/** Whether a host name (without port, brackets allowed) is this machine by its writing alone. */
export function isLoopback(hostname: string): boolean {
  const bare = bareName(hostname);
  return bare === "localhost" || bare === "::1" || /^127(?:\.\d{1,3}){3}$/.test(bare);
}

/** Whether it is "localhost" or a literal address that only this machine, its link or its cloud has. */
export function isLocalAddress(hostname: string): boolean {
  const bare = bareName(hostname);
  if (bare === "localhost" || bare.endsWith(".localhost")) return true;
  const family = isIP(bare);
  // BlockList knows IPv4 addresses inside IPv6 ones ("::ffff:127.0.0.1").
  return family !== 0 && ours.check(bare, family === 4 ? "ipv4" : "ipv6");
}

/** In small letters, and without the brackets that URLs have around IPv6 addresses. */
export function bareName(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, "").toLowerCase();
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;

/** As dns.lookup, for hosts that a registry named: names of local addresses lead nowhere. */
export function lookupElsewhere(hostname: string, options: LookupOptions, done: LookupCallback): void {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, "");
    if (addresses.some(({ address }) => isLocalAddress(address))) {
      const message = `"${hostname}" is an address of this machine, to which a registry may not send us`;
      return done(Object.assign(new Error(message), { code: "EACCES" }), "");
    }
    if (options.all === true) return done(null, addresses);
    const [first] = addresses;
    done(null, first?.address ?? "", first?.family);
  });
}
