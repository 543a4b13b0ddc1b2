import fc from "fast-check";
import { PacketType, type ProtocolVersion, type Qos } from "../../src/codec/constants.ts";
import { type Packet, Publish, type RetainHandling, type UserProperty, type Will } from "../../src/codec/packet.ts";
import {
  isAuthReasonCode,
  isConnackReasonCode,
  isDisconnectReasonCode,
  isPubackReasonCode,
  isPubrelReasonCode,
  isSubackReasonCode,
  isUnsubackReasonCode,
} from "../../src/codec/reason.ts";

/** Any text that a UTF-8 Encoded String may hold: every code point but U+0000 and surrogates. */
export const text = fc.string({ unit: "binary", maxLength: 12 }).map((each) => each.replaceAll("\0", "0"));
const topicName = text.map((each) => each.replaceAll(/[+#]/g, "_") || "t");
const topicFilter = fc.oneof(fc.constantFrom("#", "+", "a/+/b", "$share/g/a/#", "/"), topicName);
const data = fc.uint8Array({ maxLength: 20 });
const byte = fc.constantFrom(0 as const, 1 as const);
const uint16 = fc.oneof(fc.constantFrom(0, 1, 255, 256, 65_535), fc.nat(65_535));
const uint32 = fc.oneof(fc.constantFrom(0, 1, 2_147_483_647, 2_147_483_648, 4_294_967_295), fc.nat());
const variable = fc.oneof(fc.constantFrom(1, 127, 128, 16_384, 268_435_455), fc.integer({ min: 1, max: 268_435_455 }));
const packetIdentifier = fc.integer({ min: 1, max: 65_535 });
const atLeastOne16 = uint16.map((value) => value || 1);
const qos = fc.constantFrom<Qos>(0, 1, 2);

const userProperties = fc.array(fc.tuple(text, text) as fc.Arbitrary<UserProperty>, { minLength: 1, maxLength: 4 });
const message = {
  payloadFormatIndicator: byte,
  messageExpiryInterval: uint32,
  contentType: text,
  responseTopic: topicName,
  correlationData: data,
  userProperties,
};
const reasoned = { reasonString: text, userProperties };
const authentication = { authenticationMethod: text, authenticationData: data };

/** Records with the prototype that ours have, or no comparison would be equal. */
function record<T extends object>(model: { [Name in keyof T]: fc.Arbitrary<T[Name]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

/** All packets of one version, by name. In 3.x they hold nothing that 3.x cannot write. */
export function packetsOf(version: ProtocolVersion): Record<string, fc.Arbitrary<Packet>> {
  const v5 = version === 5;
  /** Each property there or not, in 5.0; none in 3.x. Data without a method would be a protocol error. */
  const some = <T extends object>(model: { [Name in keyof T]: fc.Arbitrary<T[Name]> }): fc.Arbitrary<Partial<T>> =>
    v5
      ? fc.record(model, { requiredKeys: [], noNullPrototype: true }).map(({ ...each }: Record<string, unknown>) => {
          if (each.authenticationMethod === undefined) {
            delete each.authenticationData;
          }
          return each as Partial<T>;
        })
      : fc.constant({});
  const codes = <Code extends number>(may: (code: number) => code is Code, in3x: readonly Code[]): fc.Arbitrary<Code> =>
    fc.constantFrom(...(v5 ? Array.from({ length: 256 }, (_, code) => code).filter(may) : in3x));
  const will: fc.Arbitrary<Will> = record({
    topicName,
    payload: data,
    qos,
    retain: fc.boolean(),
    properties: some({ ...message, willDelayInterval: uint32 }),
  });
  const ack = { packetIdentifier, properties: some(reasoned) };
  const packets = {
    CONNECT: record({
      type: fc.constant(PacketType.CONNECT),
      protocolVersion: fc.constant(version),
      cleanStart: fc.boolean(),
      keepAliveSeconds: uint16,
      clientId: text,
      will: fc.option(will, { nil: undefined }),
      userName: fc.option(text, { nil: undefined }),
      password: fc.option(data, { nil: undefined }),
      properties: some({
        sessionExpiryInterval: uint32,
        receiveMaximum: atLeastOne16,
        maximumPacketSize: uint32.map((value) => value || 1),
        topicAliasMaximum: uint16,
        requestResponseInformation: byte,
        requestProblemInformation: byte,
        userProperties,
        ...authentication,
      }),
      bridge: v5 ? fc.constant(false) : fc.boolean(),
    }).map((connect) => (v5 || connect.userName !== undefined ? connect : { ...connect, password: undefined })),
    CONNACK: record({
      type: fc.constant(PacketType.CONNACK),
      sessionPresent: version === 3 ? fc.constant(false) : fc.boolean(),
      reasonCode: v5 ? codes(isConnackReasonCode, []) : fc.constantFrom(0, 1, 2, 3, 4, 5),
      properties: some({
        sessionExpiryInterval: uint32,
        receiveMaximum: atLeastOne16,
        maximumQos: byte,
        retainAvailable: byte,
        maximumPacketSize: uint32.map((value) => value || 1),
        assignedClientIdentifier: text,
        topicAliasMaximum: uint16,
        wildcardSubscriptionAvailable: byte,
        subscriptionIdentifiersAvailable: byte,
        sharedSubscriptionAvailable: byte,
        serverKeepAlive: uint16,
        responseInformation: text,
        serverReference: text,
        ...reasoned,
        ...authentication,
      }),
    }).map((connack) => (connack.reasonCode === 0 ? connack : { ...connack, sessionPresent: false })),
    PUBLISH: record({
      topicName,
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      packetIdentifier,
      nameless: fc.boolean(),
      payload: fc.uint8Array({ maxLength: 200 }),
      properties: some({
        ...message,
        topicAlias: atLeastOne16,
        subscriptionIdentifiers: fc.array(variable, { minLength: 1, maxLength: 3 }),
      }),
    }).map((each) => {
      const name = each.nameless && each.properties.topicAlias !== undefined ? "" : each.topicName;
      const identifier = each.qos === 0 ? 0 : each.packetIdentifier;
      const { length } = each.payload;
      const dup = each.dup && each.qos > 0;
      return new Publish(name, each.qos, each.retain, dup, identifier, each.properties, each.payload, 0, length);
    }),
    PUBACK: record({ type: fc.constant(PacketType.PUBACK), ...ack, reasonCode: codes(isPubackReasonCode, [0]) }),
    PUBREC: record({ type: fc.constant(PacketType.PUBREC), ...ack, reasonCode: codes(isPubackReasonCode, [0]) }),
    PUBREL: record({ type: fc.constant(PacketType.PUBREL), ...ack, reasonCode: codes(isPubrelReasonCode, [0]) }),
    PUBCOMP: record({ type: fc.constant(PacketType.PUBCOMP), ...ack, reasonCode: codes(isPubrelReasonCode, [0]) }),
    SUBSCRIBE: record({
      type: fc.constant(PacketType.SUBSCRIBE),
      packetIdentifier,
      entries: fc.array(
        record({
          topicFilter,
          qos,
          noLocal: v5 ? fc.boolean() : fc.constant(false),
          retainAsPublished: v5 ? fc.boolean() : fc.constant(false),
          retainHandling: v5 ? fc.constantFrom<RetainHandling>(0, 1, 2) : fc.constant<RetainHandling>(0),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      properties: some({ subscriptionIdentifier: variable, userProperties }),
    }),
    SUBACK: record({
      type: fc.constant(PacketType.SUBACK),
      ...ack,
      reasonCodes: fc.array(codes(isSubackReasonCode, [0, 1, 2, 0x80]), { minLength: 1, maxLength: 5 }),
    }),
    UNSUBSCRIBE: record({
      type: fc.constant(PacketType.UNSUBSCRIBE),
      packetIdentifier,
      topicFilters: fc.array(topicFilter, { minLength: 1, maxLength: 5 }),
      properties: some({ userProperties }),
    }),
    UNSUBACK: record({
      type: fc.constant(PacketType.UNSUBACK),
      ...ack,
      reasonCodes: v5
        ? fc.array(codes(isUnsubackReasonCode, []), { minLength: 1, maxLength: 5 })
        : fc.constant<(0 | 17)[]>([]),
    }),
    PINGREQ: fc.constant({ type: PacketType.PINGREQ }),
    PINGRESP: fc.constant({ type: PacketType.PINGRESP }),
    DISCONNECT: record({
      type: fc.constant(PacketType.DISCONNECT),
      reasonCode: codes(isDisconnectReasonCode, [0]),
      properties: some({ sessionExpiryInterval: uint32, serverReference: text, ...reasoned }),
    }),
  } as Record<string, fc.Arbitrary<Packet>>;
  if (v5) {
    packets.AUTH = record({
      type: fc.constant(PacketType.AUTH),
      reasonCode: codes(isAuthReasonCode, []),
      properties: fc
        .tuple(some(reasoned), text, fc.option(data, { nil: undefined }))
        .map(([rest, authenticationMethod, authenticationData]) =>
          authenticationData === undefined
            ? { ...rest, authenticationMethod }
            : { ...rest, authenticationMethod, authenticationData },
        ),
    });
  }
  return packets;
}
