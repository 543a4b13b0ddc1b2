import fc from "fast-check";
import type { SnPacket } from "../../../../src/gateway/mqttsn/codec/packet.ts";
import { type SnQos, type SnTopic, SnType, type SnWill } from "../../../../src/gateway/mqttsn/codec/types.ts";
import { text } from "../../../codec/arbitrary.ts";

const octet = fc.oneof(fc.constantFrom(0, 1, 127, 128, 255), fc.nat(255));
const uint16 = fc.oneof(fc.constantFrom(0, 1, 255, 256, 65_535), fc.nat(65_535));
/** Around the lengths where the Length field changes its form, too. */
const data = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  fc.uint8Array({ minLength: 240, maxLength: 270, size: "max" }),
);
const address = fc.uint8Array({ minLength: 1, maxLength: 18 });
const name = fc.oneof(
  { weight: 4, arbitrary: text },
  fc.integer({ min: 240, max: 260 }).map((length) => "n".repeat(length)),
);
const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2);

const will: fc.Arbitrary<SnWill> = record({ qos, retain: fc.boolean(), topic: name });
const topic: fc.Arbitrary<SnTopic> = fc.oneof(
  record<SnTopic & { topicIdType: 0 }>({ topicIdType: fc.constant(0), name }),
  record<SnTopic & { topicIdType: 1 | 2 }>({ topicIdType: fc.constantFrom(1, 2), topicId: uint16 }),
);
const returnCode = { returnCode: octet };
const messageId = { messageId: uint16 };
const acknowledgement = { topicId: uint16, ...messageId, ...returnCode };

/** Every message there is, by its name in `SnType`. */
export const PACKETS: Record<keyof typeof SnType, fc.Arbitrary<SnPacket>> = {
  Advertise: packet("Advertise", { gatewayId: octet, durationSeconds: uint16 }),
  SearchGw: packet("SearchGw", { radius: octet }),
  GwInfo: packet("GwInfo", { gatewayId: octet, address: fc.option(address, { nil: undefined }) }),
  Connect: packet("Connect", {
    will: fc.boolean(),
    cleanSession: fc.boolean(),
    durationSeconds: uint16,
    clientId: name,
  }),
  Connack: packet("Connack", returnCode),
  WillTopicReq: packet("WillTopicReq", {}),
  WillTopic: packet("WillTopic", { will: fc.option(will, { nil: undefined }) }),
  WillMsgReq: packet("WillMsgReq", {}),
  WillMsg: packet("WillMsg", { message: data }),
  Register: packet("Register", { topicId: uint16, ...messageId, topicName: name }),
  Regack: packet("Regack", acknowledgement),
  Publish: packet("Publish", {
    dup: fc.boolean(),
    qos: fc.constantFrom<SnQos>(-1, 0, 1, 2),
    retain: fc.boolean(),
    topicIdType: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
    topicId: uint16,
    ...messageId,
    data,
  }),
  Puback: packet("Puback", acknowledgement),
  Pubcomp: packet("Pubcomp", messageId),
  Pubrec: packet("Pubrec", messageId),
  Pubrel: packet("Pubrel", messageId),
  Subscribe: packet("Subscribe", { dup: fc.boolean(), qos, ...messageId, topic }),
  Suback: packet("Suback", { qos, ...acknowledgement }),
  Unsubscribe: packet("Unsubscribe", { ...messageId, topic }),
  Unsuback: packet("Unsuback", messageId),
  Pingreq: packet("Pingreq", {
    clientId: fc.option(
      name.filter((each) => each !== ""),
      { nil: undefined },
    ),
  }),
  Pingresp: packet("Pingresp", {}),
  Disconnect: packet("Disconnect", { durationSeconds: fc.option(uint16, { nil: undefined }) }),
  WillTopicUpd: packet("WillTopicUpd", { will: fc.option(will, { nil: undefined }) }),
  WillTopicResp: packet("WillTopicResp", returnCode),
  WillMsgUpd: packet("WillMsgUpd", { message: data }),
  WillMsgResp: packet("WillMsgResp", returnCode),
};

export const anyPacket: fc.Arbitrary<SnPacket> = fc.oneof(...Object.values(PACKETS));

type Named<Name extends keyof typeof SnType> = Extract<SnPacket, { type: (typeof SnType)[Name] }>;

function packet<Name extends keyof typeof SnType>(
  name: Name,
  fields: { [Field in Exclude<keyof Named<Name>, "type">]: fc.Arbitrary<Named<Name>[Field]> },
): fc.Arbitrary<SnPacket> {
  return record({ type: fc.constant(SnType[name]), ...fields }) as fc.Arbitrary<SnPacket>;
}

/** Records with the prototype that ours have, or no comparison would be equal. */
function record<T extends object>(model: { [Name in keyof T]: fc.Arbitrary<T[Name]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}
