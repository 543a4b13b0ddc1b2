import type { Connect, Publish, Subscribe, Unsubscribe } from "../../src/codec/packet.ts";
import type { Client } from "../../src/core/client.ts";
import type { SysInfo } from "../../src/core/counters.ts";
import type { HookOperations } from "../../src/store/hook-operations.ts";
import type { NineOperations, OperationsMessage, OperationsSession } from "../../src/store/nine-operations.ts";

/** The nine operations over plain maps, as somebody would write them first, and what can go wrong with them. */
export class NineInMemory implements Required<NineOperations> {
  readonly sessions = new Map<string, OperationsSession>();
  readonly retained = new Map<string, OperationsMessage>();
  readonly queues = new Map<string, OperationsMessage[]>();
  readonly inflight = new Map<string, OperationsMessage>();
  /** Names of all calls. */
  readonly calls: string[] = [];
  /** As MQTT-Server does: throws for what is not there. */
  throwsForMissing = false;
  /** Keeps an empty payload, and does not take it for a removal. */
  keepsEmpty = false;
  /** Of calls that change something: the following ones never answer, and change nothing. */
  callsLeft = Number.POSITIVE_INFINITY;
  /** A call was made beyond them. */
  isCut = false;
  /** Thrown by whatever changes something. */
  failure: Error | undefined;
  /** Calls that wait until they are let go; undefined: all answer at once, without a promise. */
  held: (() => void)[] | undefined;
  closed = 0;

  saveSession(clientId: string, session: OperationsSession): Promise<void> | void {
    return this.change(`saveSession ${clientId}`, () => this.sessions.set(clientId, structuredClone(session)));
  }

  loadSession(clientId: string): OperationsSession | undefined {
    return this.found(this.sessions.get(clientId), "session not found");
  }

  deleteSession(clientId: string): Promise<void> | void {
    return this.change(`deleteSession ${clientId}`, () => this.sessions.delete(clientId));
  }

  storeRetained(topic: string, message: OperationsMessage): Promise<void> | void {
    return this.change(`storeRetained ${topic}`, () => {
      if (message.payload.length === 0 && !this.keepsEmpty) this.retained.delete(topic);
      else this.retained.set(topic, structuredClone(message));
    });
  }

  getRetained(topic: string): OperationsMessage | undefined {
    return this.found(this.retained.get(topic), "no retained message for topic");
  }

  enqueueMessage(clientId: string, message: OperationsMessage): Promise<void> | void {
    return this.change(`enqueueMessage ${clientId}`, () => {
      this.queues.set(clientId, [...(this.queues.get(clientId) ?? []), structuredClone(message)]);
    });
  }

  dequeueMessages(clientId: string): OperationsMessage[] {
    const messages = this.queues.get(clientId) ?? [];
    this.queues.delete(clientId);
    return messages;
  }

  persistInflight(clientId: string, packetIdentifier: number, message: OperationsMessage): Promise<void> | void {
    return this.change("persistInflight", () => this.inflight.set(`${clientId}:${packetIdentifier}`, message));
  }

  clearInflight(clientId: string, packetIdentifier: number): Promise<void> | void {
    return this.change("clearInflight", () => this.inflight.delete(`${clientId}:${packetIdentifier}`));
  }

  close(): void {
    this.closed++;
  }

  private found<T>(value: T | undefined, reason: string): T | undefined {
    if (value === undefined && this.throwsForMissing) throw new Error(reason);
    return structuredClone(value);
  }

  private change(call: string, make: () => unknown): Promise<void> | void {
    this.calls.push(call);
    if (this.failure !== undefined) throw this.failure;
    if (this.callsLeft === 0) {
      this.isCut = true;
      return new Promise(() => undefined);
    }
    this.callsLeft--;
    const { held } = this;
    if (held === undefined) {
      make();
      return;
    }
    return new Promise((resolve) => {
      held.push(() => {
        make();
        resolve();
      });
    });
  }
}

type Listed<M extends "storedClients" | "storedSubscriptions" | "storedInflightMessages" | "storedRetainedMessages"> =
  Awaited<ReturnType<NonNullable<HookOperations[M]>>>[number];

/** mochi's hooks over plain maps, as its own stores have them: keyed by client, topic and packet identifier. */
export class HooksInMemory implements HookOperations {
  readonly clients = new Map<string, Listed<"storedClients">>();
  readonly subscriptions = new Map<string, Listed<"storedSubscriptions">>();
  readonly messages = new Map<string, Listed<"storedInflightMessages">>();
  readonly retained = new Map<string, Listed<"storedRetainedMessages">>();
  info: SysInfo | undefined;
  readonly calls: string[] = [];
  stopped = 0;

  async storedClients(): Promise<Listed<"storedClients">[]> {
    return [...this.clients.values()];
  }

  async storedSubscriptions(): Promise<Listed<"storedSubscriptions">[]> {
    return [...this.subscriptions.values()];
  }

  storedInflightMessages(): Listed<"storedInflightMessages">[] {
    return [...this.messages.values()];
  }

  storedRetainedMessages(): Listed<"storedRetainedMessages">[] {
    return [...this.retained.values()];
  }

  storedSysInfo(): SysInfo | undefined {
    return this.info;
  }

  async onSessionEstablished(client: Client, packet: Connect): Promise<void> {
    this.calls.push(`established ${client.clientId}`);
    const { clientId, userName, protocolVersion } = client;
    const sessionExpiryInterval = packet.properties.sessionExpiryInterval ?? 0;
    this.clients.set(clientId, { clientId, userName, protocolVersion, sessionExpiryInterval });
  }

  onDisconnect(client: Client, _error: Error | undefined, expire: boolean): void {
    this.calls.push(`disconnected ${client.clientId} ${expire}`);
  }

  onClientExpired(client: Client): void {
    this.calls.push(`expired ${client.clientId}`);
    this.clients.delete(client.clientId);
  }

  async onSubscribed(client: Client, packet: Subscribe): Promise<void> {
    for (const entry of packet.entries) {
      const { clientId, userName } = client;
      const { subscriptionIdentifier } = packet.properties;
      const identifier = subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier };
      this.subscriptions.set(`${clientId} ${entry.topicFilter}`, { clientId, userName, ...entry, ...identifier });
    }
  }

  onUnsubscribed(client: Client, packet: Unsubscribe): void {
    for (const filter of packet.topicFilters) this.subscriptions.delete(`${client.clientId} ${filter}`);
  }

  async onRetainMessage(_client: Client, packet: Publish, stored: number): Promise<void> {
    const { topicName, payload, qos, properties } = packet;
    if (stored === -1) this.retained.delete(topicName);
    else this.retained.set(topicName, { topicName, payload, qos, properties });
  }

  async onQosPublish(client: Client, packet: Publish): Promise<void> {
    const { clientId, userName } = client;
    const { topicName, payload, qos, retain, packetIdentifier, properties } = packet;
    const { subscriptionIdentifiers = [] } = properties;
    const message = { clientId, userName, topicName, payload, qos, retain, packetIdentifier, properties };
    this.messages.set(`${clientId} ${packetIdentifier}`, { ...message, subscriptionIdentifiers });
  }

  onQosReleased(client: Client, packet: Publish): void {
    this.calls.push(`released ${client.clientId} ${packet.packetIdentifier}`);
    this.messages.get(`${client.clientId} ${packet.packetIdentifier}`)!.released = true;
  }

  onQosComplete(client: Client, packet: Publish): void {
    this.calls.push(`complete ${client.clientId} ${packet.packetIdentifier}`);
    this.messages.delete(`${client.clientId} ${packet.packetIdentifier}`);
  }

  onSysInfoTick(info: SysInfo): void {
    this.info = info;
  }

  onStopped(): void {
    this.stopped++;
  }
}
