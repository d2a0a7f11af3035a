/** Docker's own registry, which names without a host are of. */
const dockerHost = "docker.io";

/**
 * The registry of a name, and the rest of it. The first component is a host when it has a ".", a ":" or
 * capitals, or is "localhost" (the distribution project's grammar with docker's normalisation).
 */
export function splitHost(name: string): { host: string; rest: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isHost = first === "localhost" || /[.:A-Z]/.test(first);
  const host = isHost ? first : dockerHost;
  return {
    host: host === "index.docker.io" ? dockerHost : host,
    rest: isHost ? name.slice(slash + 1) : name,
  };
}
