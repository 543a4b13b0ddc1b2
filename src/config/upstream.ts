import { hostname } from "node:os";
import type { UpstreamSettings } from "../bridge/settings.ts";
import type { Problem } from "../text/problem.ts";
import type { Assignment } from "./layer.ts";

const PROTOCOLS = ["mqtt:", "mqtts:", "ws:", "wss:"];
const EXAMPLE =
  "Write it as mqtt://broker.example.org, mqtts://broker.example.org:8883 or wss://broker.example.org/mqtt";
/** What means nothing without the URL. */
const BESIDE_URL = ["username", "passwordFile", "clientId", "version", "ca", "cert", "key"];

/**
 * The other broker of the MQTT-SN clients; undefined when none is named. `given`: the value of a key within
 * `mqttSn.upstream`; `path`: the same as an absolute path. No problem repeats the URL, which may have a password in it.
 */
export function upstreamSettings(
  given: (name: string) => Assignment | undefined,
  path: (name: string) => string | undefined,
  problems: Problem[],
): UpstreamSettings | undefined {
  const address = given("url");
  if (address === undefined) {
    for (const name of BESIDE_URL) {
      const { origin } = given(name) ?? {};
      if (origin !== undefined)
        problems.push(origin.problem("warning", "not used, since there is no --mqtt-sn-upstream"));
    }
    return undefined;
  }
  const url = URL.parse(String(address.value));
  if (url === null || !PROTOCOLS.includes(url.protocol) || url.hostname === "") {
    problems.push(address.origin.problem("error", "is no URL of a broker", EXAMPLE));
    return undefined;
  }
  const isWebSocket = url.protocol.startsWith("ws");
  if (url.hash !== "" || (!isWebSocket && (url.search !== "" || !["", "/"].includes(url.pathname)))) {
    problems.push(
      address.origin.problem("error", "names more than a host and a port, and there is nothing more", EXAMPLE),
    );
  }
  const text = (name: string): string | undefined => {
    const value = given(name)?.value;
    return value === undefined || value === null ? undefined : String(value);
  };
  const [urlUser, urlPassword] = [decoded(url.username), decoded(url.password)];
  url.username = "";
  url.password = "";
  const [ca, cert, key, passwordFile] = [path("ca"), path("cert"), path("key"), path("passwordFile")];
  if ((cert === undefined) !== (key === undefined)) {
    const { origin } = given(cert === undefined ? "key" : "cert")!;
    const missing = cert === undefined ? "--mqtt-sn-upstream-cert" : "--mqtt-sn-upstream-key";
    problems.push(origin.problem("error", `a certificate and its key go together: ${missing} is missing`));
  }
  if (url.protocol === "mqtt:" || url.protocol === "ws:") {
    for (const name of ["ca", "cert", "key"]) {
      const { origin } = given(name) ?? {};
      if (origin === undefined) continue;
      const message = `not used, since the URL of the upstream is not ${isWebSocket ? "wss" : "mqtts"}://`;
      problems.push(origin.problem("warning", message));
    }
  }
  const userName = text("username") ?? urlUser;
  const version = Number(text("version") ?? 5) === 4 ? 4 : 5;
  const hasPassword = passwordFile !== undefined || urlPassword !== undefined;
  if (version === 4 && hasPassword && userName === undefined) {
    const { origin } = given("passwordFile") ?? address;
    problems.push(
      origin.problem("error", "MQTT 3.1.1 has no password without a user name: give --mqtt-sn-upstream-username"),
    );
  }
  return {
    url: url.href.replace(/\/$/, ""),
    userName,
    password: passwordFile === undefined ? urlPassword : undefined,
    passwordFile,
    clientId: text("clientId") ?? `mqtt-sn-${hostname()}`,
    ca,
    cert,
    key,
    version,
  };
}

function decoded(part: string): string | undefined {
  if (part === "") return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
