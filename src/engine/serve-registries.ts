// The service berth.v1.Registries: pulls, logins, rules. Requests to verbs, results to answers.

import type { Server } from "@grpc/grpc-js";
import type { RegistryAuth as AuthMessage } from "../gen/berth/v1/engine.ts";
import {
  type PhaseTime as PhaseMessage,
  type PullRecord as PullMessage,
  type RegistriesServer,
  RegistriesService,
  type RegistryEndpoint,
} from "../gen/berth/v1/registries.ts";
import { checkLogin } from "../images/check-login.ts";
import { listPulls } from "../images/list-pulls.ts";
import { testRegistry } from "../images/test-registry.ts";
import { BerthError } from "../lib/errors.ts";
import type { RegistryAuth } from "../types/image.ts";
import type { PhaseTime, PullRecord } from "../types/pull.ts";
import type { EngineDeps } from "./deps.ts";
import { unary } from "./rpc.ts";

/** Adds the service berth.v1.Registries to `server`. */
export function serveRegistries(server: Server, deps: EngineDeps): void {
  const handlers: RegistriesServer = {
    listPulls: unary(deps, (_call, { image }) => ({ pulls: listPulls(deps, image).map(pullToProto) })),
    checkLogin: unary(deps, async (call, { registry, auth }) => {
      const given = authOf(auth);
      if (given === undefined) throw new BerthError("INVALID_ARGUMENT", "check login: no credentials");
      await checkLogin(deps, call, { registry, auth: given });
      return {};
    }),
    testRegistry: unary(deps, async (call, { image, auth }) => {
      const report = await testRegistry(deps, call, { image, auth: authOf(auth) });
      return { image: report.image, endpoints: report.endpoints.map(endpointToProto) };
    }),
  };
  server.addService(RegistriesService, handlers);
}

/** Credentials of a call. Absent: none. */
export function authOf(message: AuthMessage | undefined): RegistryAuth | undefined {
  if (message === undefined) return undefined;
  const { username, password, auth, serverAddress, identityToken, registryToken } = message;
  return { username, password, auth, serverAddress, identityToken, registryToken };
}

function pullToProto({ phases, layers, ...pull }: PullRecord): PullMessage {
  return {
    ...pull,
    id: BigInt(pull.id),
    beganAt: BigInt(pull.beganAt),
    endedAt: BigInt(pull.endedAt),
    phases: phases.map(phaseToProto),
    layers: layers.map(
      ({ layer, size, fetchedBytes, resumedBytes, host, retries, outcome, phases: own }) => ({
        layer,
        size: BigInt(size),
        fetched: BigInt(fetchedBytes),
        resumed: BigInt(resumedBytes),
        host,
        retries,
        outcome,
        phases: own.map(phaseToProto),
      }),
    ),
  };
}

function phaseToProto({ phase, beganAt, endedAt, activeMicros }: PhaseTime): PhaseMessage {
  return {
    phase,
    beganAt: BigInt(beganAt),
    endedAt: BigInt(endedAt),
    activeUs: BigInt(activeMicros),
  };
}

function endpointToProto(
  report: Awaited<ReturnType<typeof testRegistry>>["endpoints"][number],
): RegistryEndpoint {
  const { isMirror, capabilities, headers, ...rest } = report;
  return { ...rest, mirror: isMirror, capabilities: [...capabilities], headers: [...headers] };
}
