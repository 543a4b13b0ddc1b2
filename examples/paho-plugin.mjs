// Loaded by paho.json5: the suites subscribe to this topic and expect to be refused.
const FORBIDDEN = "test/nosubscribe";

export const hook = {
  name: "paho",
  /** No opinion, which is undefined, leaves the decision to the hooks after this one and to the access rules. */
  onACLCheck(_client, topic, write) {
    return topic === FORBIDDEN && !write ? false : undefined;
  },
};
