import type { Way } from "./doors.ts";
import { runGenerator } from "./generator.ts";
import {
  atLeastRatio,
  figureOf,
  judged,
  type Scenario,
  stageOf,
  type Target,
  TIMEOUT_SECONDS,
  towards,
  traffic,
} from "./scenarios.ts";

const TLS13 = ["--tls", "13"];
const EACH = ["--each", "1"];
const TCP: Way = { name: "tcp", title: "TCP", over: "tcp", key: "ecdsa", client: [] };
const TLS: Way = { ...TCP, name: "tls", title: "TLS 1.3", over: "tls", client: TLS13 };
const TLS_EACH: Way = { ...TLS, name: "tls-each", title: "TLS 1.3, each", client: [...TLS13, ...EACH] };
const TLS12: Way = { ...TLS, name: "tls12", title: "TLS 1.2", client: ["--tls", "12"] };
const TLS_RSA: Way = { ...TLS, name: "tls-rsa", title: "TLS 1.3, RSA", key: "rsa" };
const WS: Way = { ...TCP, name: "ws", title: "WebSocket", over: "ws", client: ["--web", "1"] };
const WS_EACH: Way = { ...WS, name: "ws-each", title: "WebSocket, each", client: [...WS.client, ...EACH] };
const WSS: Way = { ...WS, name: "wss", title: "WSS", over: "wss", client: ["--web", "1", ...TLS13] };
const UNIX: Way = { ...TCP, name: "unix", title: "Unix", over: "unix" };

const TWICE = atLeastRatio(2);
const CONNECTS = atLeastRatio(0.8);

export const WAY_SCENARIOS: readonly Scenario[] = [
  ...trafficOver(TCP, undefined),
  ...trafficOver(TLS, TWICE),
  ...trafficOver(TLS_EACH, undefined),
  ...trafficOver(TLS12, undefined),
  ...trafficOver(WS, TWICE),
  ...trafficOver(WS_EACH, undefined),
  ...trafficOver(WSS, undefined),
  ...trafficOver(UNIX, TWICE),
  connects(TCP, false),
  connects(TLS, true),
  connects(TLS12, true),
  connects(TLS_RSA, true),
  connects(WS, false),
  connects(WSS, false),
];

function trafficOver(way: Way, target: Target | undefined): Scenario[] {
  return [
    traffic(`${way.name}-q0-10-10`, `${way.title}: QoS 0, 10 -> 10`, "", target),
    traffic(`${way.name}-q1-10-10`, `${way.title}: QoS 1, 10 -> 10`, "--qos 1", target),
    traffic(`${way.name}-fan-out-100`, `${way.title}: 1 -> 100`, "--publishers 1 --subscribers 100", target),
  ].map((scenario) => ({ ...scenario, way }));
}

/** A compiling runtime has to see so many connections, and some time after them, before it is up to speed. */
const CONNECTS_WARMUP = 2000;
const CONNECTS_WARMUP_MS = 2000;

function connects(way: Way, isTarget: boolean): Scenario {
  return {
    name: `${way.name}-connects`,
    title: `${way.title}: connects`,
    figures: [
      { name: "connects", unit: "per second", ...(isTarget && { target: CONNECTS }) },
      // Where the generator is the limit, only this tells the brokers apart.
      {
        name: "CPU each",
        unit: "us",
        ...(isTarget && { target: { kind: "ratio at most", value: 1 / CONNECTS.value } }),
      },
    ],
    way,
    quick: isTarget,
    version5: false,
    sink: true,
    fresh: false,
    collects: false,
    async run(generator, broker, { durationMs }) {
      const warmUp = ["--warmup", String(CONNECTS_WARMUP_MS), "--count", String(CONNECTS_WARMUP)];
      const words = [...warmUp, "--duration", String(durationMs), "--in-progress", "50"];
      const stages = await runGenerator(generator, ["connects", ...towards(broker), ...words], TIMEOUT_SECONDS);
      const result = stageOf(stages, "result");
      return {
        values: {
          connects: figureOf(result, "perSecond"),
          "CPU each": 1e6 / figureOf(result, "perCpuSecond"),
          "generator CPU": figureOf(result, "generatorCpu") * 100,
        },
        ...judged(stages),
      };
    },
  };
}
