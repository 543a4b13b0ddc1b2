/** What a client has bound Topic Aliases to on its present connection, 5.0 §3.3.2.3.4. */
export class IncomingAliases {
  private readonly names: (string | undefined)[] = [];

  set(alias: number, topicName: string): void {
    this.names[alias] = topicName;
  }

  get(alias: number): string | undefined {
    return this.names[alias];
  }
}

/** The aliases we use towards a client: when all are taken, the topic used longest ago gives its own up. */
export class OutgoingAliases {
  private readonly byTopic = new Map<string, number>();
  private readonly maximum: number;

  /** `maximum` is at least 1 and at most the client's Topic Alias Maximum, 5.0 [MQTT-3.1.2-26]. */
  constructor(maximum: number) {
    this.maximum = maximum;
  }

  /** `known`: the client has the binding already, so that the Topic Name can be left out. */
  assign(topicName: string): { alias: number; known: boolean } {
    const known = this.byTopic.get(topicName);
    if (known !== undefined) {
      // A Map iterates in the order of insertion: the one used last moves to the end.
      this.byTopic.delete(topicName);
      this.byTopic.set(topicName, known);
      return { alias: known, known: true };
    }
    let alias = this.byTopic.size + 1;
    if (alias > this.maximum) {
      const [oldest, freed] = this.byTopic.entries().next().value!;
      this.byTopic.delete(oldest);
      alias = freed;
    }
    this.byTopic.set(topicName, alias);
    return { alias, known: false };
  }

  /** The packet that would have told the client was not sent: the alias is reused, the topic starts afresh. */
  forget(topicName: string): void {
    const alias = this.byTopic.get(topicName);
    if (alias === undefined) return;
    this.byTopic.delete(topicName);
    this.byTopic.set(`\u0000${alias}`, alias);
  }
}
