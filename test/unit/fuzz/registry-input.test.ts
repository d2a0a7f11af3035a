// Whatever a registry, a client or a file says: a value that keeps its promises, or an error of ours.

import { describe, expect, it } from "vitest";
import { entryOf, helperOf, parseDockerConfig } from "../../../src/credentials/docker-config.ts";
import { filesOfArtifact } from "../../../src/images/artifact-files.ts";
import { readDocument, readImageConfig } from "../../../src/images/read-manifest.ts";
import { BerthError } from "../../../src/lib/errors.ts";
import { parseChallenges } from "../../../src/registry/challenge.ts";
import { printable } from "../../../src/registry/failure.ts";
import { parseHostsToml } from "../../../src/registry/hosts-toml.ts";
import { isExempt } from "../../../src/registry/proxies.ts";
import { formatReference, isDigest, nameOf, parseReference } from "../../../src/registry/reference.ts";
import { retryAfterMs } from "../../../src/registry/retry.ts";
import { annotationKeys } from "../../../src/types/oci-image.ts";
import { fuzz } from "./mutate.ts";

const hex = "0123456789abcdef".repeat(4);
const digest = `sha256:${hex}`;
const descriptor = `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"${digest}","size":7}`;

/** The value, or undefined when it was refused in our words. */
function tried<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    expect(error).toBeInstanceOf(BerthError);
    expect(/[\u0000-\u0008\u000e-\u001f\u007f]/.test((error as Error).message)).toBe(false);
    expect((error as Error).message.length).toBeLessThan(2000);
    return undefined;
  }
}

describe("fuzz", () => {
  it("references", () => {
    const seeds = [
      "busybox",
      "library/busybox:1.36",
      `docker.io/library/busybox@${digest}`,
      "registry.k8s.io/pause:3.9",
      "localhost:5000/a/b-c_d__e.f:v1.0_x",
      "[2001:db8::1]:5000/a/b:latest",
      `reg.example.com:443/x/y:t@${digest}`,
    ];
    fuzz(seeds, (text) => {
      const reference = tried(() => parseReference(text));
      if (reference === undefined) return;
      const { host, repository, tag, digest: pinned } = reference;
      // The grammar of the distribution project.
      expect(repository).toMatch(
        /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/,
      );
      expect(host).toMatch(/^[A-Za-z0-9.:[\]-]+$/);
      expect(tag === undefined || /^\w[\w.-]{0,127}$/.test(tag)).toBe(true);
      expect(pinned === undefined || isDigest(pinned)).toBe(true);
      expect((tag === undefined) !== (pinned === undefined)).toBe(true);
      expect(nameOf(reference).length).toBeLessThanOrEqual(255);
      // What is written down names the same again.
      expect(parseReference(formatReference(reference))).toEqual(reference);
    });
  });

  it("challenges", () => {
    const seeds = [
      'Bearer realm="https://auth.test/token",service="reg.test",scope="repository:a/b:pull"',
      'Basic realm="r", Bearer realm="x"',
      "Negotiate YIIJvwYGKwYBBQUCoIIJszCCCa==, Basic realm=x",
      'Digest a="b\\"c", d=e , , Basic',
    ];
    fuzz(seeds, (text) => {
      for (const { scheme, parameters } of parseChallenges(text)) {
        expect(scheme).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/);
        for (const name of parameters.keys()) expect(name).toBe(name.toLowerCase());
      }
    });
  });

  it("manifests and indexes", () => {
    const manifestType = "application/vnd.oci.image.manifest.v1+json";
    const entry = `"mediaType":"${manifestType}","digest":"${digest}","size":9`;
    const seeds = [
      `{"schemaVersion":2,"mediaType":"${manifestType}","config":${descriptor},"layers":[${descriptor}]}`,
      `{"schemaVersion":2,"manifests":[{${entry},"platform":{"os":"linux","architecture":"amd64"}}]}`,
      `{"schemaVersion":1,"name":"x"}`,
    ];
    fuzz(seeds, (text) => {
      for (const told of ["", "application/vnd.oci.image.index.v1+json"]) {
        const document = tried(() => readDocument(Buffer.from(text), told, "manifest"));
        if (document === undefined) continue;
        const inner = document.kind === "index" ? document.index.manifests : document.manifest.layers;
        for (const { size, digest: named } of inner) {
          expect(Number.isSafeInteger(size) && size >= 0).toBe(true);
          expect(named).toMatch(/^[a-z0-9+._-]+:[A-Za-z0-9=_-]+$/);
        }
      }
    });
  });

  it("titles of artifacts, and whole manifests of them", () => {
    const blob = (title: string, more = "") => {
      const annotations = `{"${annotationKeys.title}":"${title}"${more}}`;
      return `{"mediaType":"a/b","digest":"${digest}","size":7,"annotations":${annotations}}`;
    };
    const created = `,"${annotationKeys.created}":"2024-01-01T00:00:00Z"`;
    const manifest = (...layers: string[]) =>
      `{"schemaVersion":2,"artifactType":"a/b","config":${descriptor},"layers":[${layers.join()}]}`;
    const seeds = [
      manifest(blob("model.bin", created), descriptor),
      manifest(blob("./a/b/c.json")),
      manifest(blob("a/../b"), blob(".wh.x"), blob("\\ud800\\u0000")),
      manifest(blob("späß/模型")),
    ];
    fuzz(seeds, (text) => {
      const document = tried(() => readDocument(Buffer.from(text), "", "manifest"));
      if (document?.kind !== "manifest") return;
      const files = tried(() => filesOfArtifact(document.manifest, "artifact")) ?? [];
      const names = files.map(({ file }) => file?.name ?? "");
      for (const [at, name] of names.entries()) {
        expect(name).toMatch(/^[^/\0]+(?:\/[^/\0]+)*$/);
        expect(name.split("/").some((part) => [".", ".."].includes(part) || part.startsWith(".wh."))).toBe(
          false,
        );
        expect(Buffer.from(name).toString()).toBe(name);
        expect(names.some((other) => other.startsWith(`${name}/`))).toBe(false);
        expect(files[at]?.file?.mtime).toBeGreaterThanOrEqual(0);
        expect(files[at]?.diffId).toMatch(/^sha256:[0-9a-f]{64}$/);
      }
    });
  });

  it("configs", () => {
    const config = `{"Env":["A=b"],"Cmd":["x"],"Entrypoint":null,"User":"0","Volumes":{"/v":{}}}`;
    const rootfs = `{"type":"layers","diff_ids":["${digest}"]}`;
    const seeds = [`{"architecture":"amd64","os":"linux","config":${config},"rootfs":${rootfs}}`];
    fuzz(seeds, (text) => {
      const read = tried(() => readImageConfig(Buffer.from(text), "config"));
      for (const entry of read?.config?.Env ?? []) expect(entry).not.toContain("\0");
      for (const argument of read?.config?.Cmd ?? []) expect(argument).not.toContain("\0");
    });
  });

  it("hosts.toml", () => {
    const seeds = [
      'server = "https://r.test"\nca = ["a.pem"]\n[host."https://m.test"]\ncapabilities = ["pull"]\n',
      'client = [["a.cert","a.key"]]\nskip_verify = true\ndial_timeout = "1m2s"\n[header]\nx-a = ["b","c"]\n',
      '[host."http://m.test:5000/v2"]\noverride_path = true\nproxy = "socks5://p:1"\n',
    ];
    fuzz(seeds, (text) => {
      let parsed: ReturnType<typeof parseHostsToml>;
      try {
        parsed = parseHostsToml(text);
      } catch (error) {
        // The caller names the file.
        expect(error).toBeInstanceOf(Error);
        expect(error).not.toBeInstanceOf(RangeError);
        return;
      }
      for (const { base, headers, capabilities, dialTimeoutMs = 1 } of [...parsed.hosts, parsed.server]) {
        expect(base?.pathname.endsWith("/") ?? true).toBe(true);
        expect(/^https?:$/.test(base?.protocol ?? "https:")).toBe(true);
        for (const value of Object.values(headers).flat()) expect(/[\r\n\0]/.test(value)).toBe(false);
        expect([...capabilities].every((one) => ["pull", "resolve", "push"].includes(one))).toBe(true);
        expect(dialTimeoutMs > 0 && dialTimeoutMs < 2 ** 31).toBe(true);
      }
    });
  });

  it("config.json", () => {
    const seeds = [
      `{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi","identitytoken":"t"}},"credsStore":"x"}`,
      `{"credHelpers":{"reg.test":"ecr-login"},"auths":{"reg.test":{"username":"a","password":"b"}}}`,
    ];
    fuzz(seeds, (text) => {
      let config: ReturnType<typeof parseDockerConfig>;
      try {
        config = parseDockerConfig(text);
      } catch (error) {
        expect((error as Error).message).toMatch(/^(?:it|key ".*") /s);
        return;
      }
      for (const host of ["docker.io", "reg.test", "__proto__", "constructor"]) {
        const entry = entryOf(config, host);
        for (const value of Object.values(entry ?? {})) expect(typeof value).toBe("string");
        expect(["string", "undefined"]).toContain(typeof helperOf(config, host));
      }
    });
  });

  it("headers and words of others", () => {
    fuzz(
      ["120", "Wed, 21 Oct 2026 07:28:00 GMT", "manifest unknown\u001b[2J", "10.0.0.0/8,.reg.test:443"],
      (text) => {
        const wait = retryAfterMs(text);
        expect(wait === undefined || wait >= 0).toBe(true);
        expect(printable(text)).toMatch(/^[^\p{Cc}]{0,201}$/u);
        isExempt(text, new URL("https://reg.test/"));
        isExempt(text, new URL("https://10.1.1.1:8443/"));
      },
    );
  });
});
