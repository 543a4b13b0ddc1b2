// Access rules in code: the keys of an auth.json5, with what your program knows put in. Here devices bring a JSON Web Token,
// which names them; nobody has to list them, and each has topics of its own.
//
//   TOKEN_SECRET=… node auth-rules.ts
import { type AuthRules, AuthRulesError, authRules, createBroker, TcpListener } from "mqtt-broker";

const rules: AuthRules = {
  authentication: [
    // Signed with HS256 and the secret, not yet expired, for this audience. The claim "sub" is the user's name.
    {
      name: "*",
      method: "jwt",
      key: process.env.TOKEN_SECRET ?? "",
      audience: "greenhouse",
      claims: { groups: "roles" },
    },
    // Programs on this machine need no token.
    { name: "backend", method: "anonymous", from: "local" },
  ],
  // A token whose claim "roles" has "gardeners" makes its holder one of them.
  group: [{ name: "@gardeners" }],
  authorization: [
    { topic: "device/%u/#", allow: { sub: ["@any"], pub: ["@any"] }, maxQos: 1 },
    { topic: "device/#", allow: { sub: ["backend", "@gardeners"] } },
    { topic: "device/+/order", deny: { pub: ["@any"] } },
    { topic: "device/+/order", allow: { pub: ["backend"] } },
  ],
  explainToClients: true,
};

try {
  const broker = createBroker({ auth: authRules(rules) });
  const port = Number(process.env.PORT ?? 1883);
  await broker.addListener(new TcpListener({ name: "main", host: "::", port, turn: broker.turn }));
  await broker.start();
  console.log(`Listening on ${broker.urls.join(", ")}`);
  process.once("SIGTERM", () => broker.stop());
} catch (error) {
  if (!(error instanceof AuthRulesError)) throw error;
  // All mistakes at once; `problems` has them one by one.
  console.error(error.message);
  process.exitCode = 1;
}
