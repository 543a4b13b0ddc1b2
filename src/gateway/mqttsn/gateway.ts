import { TextCache } from "../../codec/text.ts";
import type { Flushes } from "../../core/core-link.ts";
import { Deadlines } from "../../core/deadlines.ts";
import type { Log, LogFields } from "../../core/ports.ts";
import { AnswerBudget } from "./answer-budget.ts";
import { SnClient } from "./client.ts";
import type { ClientWorld, Remembered } from "./client-world.ts";
import { encodeSn } from "./codec/encode.ts";
import { SnError } from "./codec/error.ts";
import { decodeEncapsulated, isEncapsulated } from "./codec/forwarder.ts";
import type { SnConnect, SnPacket } from "./codec/packet.ts";
import { SnReturnCode, SnType } from "./codec/types.ts";
import { codecOf, versionOf } from "./codec/version.ts";
import { Connectionless } from "./connectionless.ts";
import { nodeRoute } from "./node-route.ts";
import { isSamePlace, placeOf } from "./place.ts";
import type { Route } from "./route.ts";
import type { GatewaySettings } from "./settings.ts";
import { type PredefinedTopics, TopicTable } from "./topic-table.ts";

export interface GatewayWorld {
  readonly log: Log;
  readonly flushes: Flushes;
  nowMs(): number;
  /** `tick` is wanted by then, in milliseconds of `nowMs`; Infinity: not at all. */
  schedule(dueMs: number): void;
  /** A client that was let in has changed; with the state `gone` for the last time. */
  onClient?(client: SnClient): void;
}

export interface GatewayCounters {
  received: number;
  sent: number;
  malformed: number;
  /** Answers that were not given, since somebody asked too often. */
  unanswered: number;
}

/**
 * MQTT-SN 1.2's gateway without any input or output: messages come in with the way they came by, and go out the same
 * way. It knows all clients, whatever lines and networks they come by.
 */
export class SnGateway {
  readonly counters: GatewayCounters = { received: 0, sent: 0, malformed: 0, unanswered: 0 };
  private readonly settings: GatewaySettings;
  private readonly world: GatewayWorld;
  private readonly clientWorld: ClientWorld;
  private readonly names = new TextCache();
  /** Those that the broker has let in. */
  private readonly clients = new Map<string, SnClient>();
  /** All, those too who are being asked. */
  private readonly byRoute = new Map<string, SnClient>();
  private readonly deadlines = new Deadlines();
  /** Of clients that are gone and have sessions, the longest ago first. */
  private readonly remembered = new Map<string, Remembered>();
  private readonly answers: AnswerBudget;
  private readonly connectionless: Connectionless;
  private scheduledMs = Number.POSITIVE_INFINITY;
  private ticking = false;

  constructor(settings: GatewaySettings, world: GatewayWorld) {
    this.settings = settings;
    this.world = world;
    this.answers = new AnswerBudget(() => world.nowMs());
    this.clientWorld = {
      settings,
      log: world.log,
      flushes: world.flushes,
      names: this.names,
      nowMs: () => world.nowMs(),
      accepted: (client) => this.adopt(client),
      changed: (client) => this.onChanged(client),
      due: (client, nowMs) => this.onDue(client, nowMs),
      sent: () => {
        this.counters.sent++;
      },
      fault: (error, fields, client) => this.onFault(error, fields, client),
    };
    this.connectionless = new Connectionless(this.clientWorld);
  }

  /** Clients that are there or asleep. */
  get size(): number {
    return this.clients.size;
  }

  client(clientId: string): SnClient | undefined {
    return this.clients.get(clientId);
  }

  /** One whole message, as it came. Never throws. */
  receive(message: Uint8Array, route: Route): void {
    this.counters.received++;
    try {
      this.take(message, route);
    } catch (error) {
      if (error instanceof SnError) this.onMalformed(error, route);
      else this.onFault(error, placeOf(route.peer), this.byRoute.get(route.key));
    }
    this.reschedule();
  }

  /** Time has passed. */
  tick(): void {
    const nowMs = this.world.nowMs();
    this.ticking = true;
    this.deadlines.run(nowMs);
    try {
      this.connectionless.tick(nowMs);
    } catch (error) {
      this.onFault(error, {});
    }
    this.ticking = false;
    this.scheduledMs = Number.POSITIVE_INFINITY;
    this.reschedule();
  }

  /** What is sent to all once in T_ADV, 1.2 §6.1. */
  advertisement(): Uint8Array {
    const { gatewayId, advertiseSeconds } = this.settings;
    return encodeSn({ type: SnType.Advertise, gatewayId, durationSeconds: advertiseSeconds });
  }

  /** What SEARCHGW is answered with. */
  information(): Uint8Array {
    return encodeSn({ type: SnType.GwInfo, gatewayId: this.settings.gatewayId, address: undefined });
  }

  /**
   * A listener closes: its clients that are awake are told, so that they look for another gateway or come back. What
   * becomes of their sessions is the broker's to say; sleepers find out when they wake.
   */
  farewell(listener: string): void {
    for (const client of [...this.clients.values()]) {
      if (client.route.peer.listener === listener && client.state !== "asleep") this.disown(client.route);
    }
  }

  private take(message: Uint8Array, from: Route): void {
    let [bytes, route] = [message, from];
    if (isEncapsulated(message)) {
      const envelope = decodeEncapsulated(message);
      bytes = envelope.message;
      route = nodeRoute(from, envelope.nodeId);
    }
    const packet = codecOf(versionOf(bytes) ?? "1.2").decode(bytes);
    const client = this.byRoute.get(route.key);
    switch (packet.type) {
      case SnType.SearchGw:
        this.inform(route);
        return;
      case SnType.Advertise:
      case SnType.GwInfo:
        return;
      case SnType.Connect:
        this.connect(packet, route);
        return;
      case SnType.Publish:
        if (packet.qos === -1 && client?.isPresent !== true) {
          this.connectionless.publish(packet, route);
          return;
        }
        break;
      case SnType.Pingreq:
        if (packet.clientId !== undefined && client?.clientId !== packet.clientId) {
          this.wakeElsewhere(packet.clientId, route, packet);
          return;
        }
        break;
      default:
        break;
    }
    if (client !== undefined) client.receive(packet);
    // So that it connects again, 1.2 §6.13. Not in answer to an end, which two gateways would exchange for ever.
    else if (packet.type !== SnType.Disconnect || packet.durationSeconds !== undefined) this.disown(route);
  }

  /** 1.2 §6.1: to the one who asks, and to the others of its network, who need not ask then. */
  private inform(route: Route): void {
    if (!this.mayAnswer(route)) return;
    const information = this.information();
    this.send(route, information);
    route.sendToAll?.(information);
  }

  /** The client that has the identifier is left alone until the broker has let this one in: anybody can send a name. */
  private connect(packet: SnConnect, route: Route): void {
    const { clientId } = packet;
    const refuse = (returnCode: SnReturnCode): void => this.send(route, encodeSn({ type: SnType.Connack, returnCode }));
    if (clientId === "") {
      this.world.log.info("MQTT-SN client refused", { ...placeOf(route.peer), reason: "it has no client identifier" });
      refuse(SnReturnCode.NotSupported);
      return;
    }
    const here = this.byRoute.get(route.key);
    const before = this.clients.get(clientId);
    const kept = this.remembered.get(clientId) ?? before?.remembered;
    if (before !== undefined && isSamePlace(before.route.peer, route.peer)) before.seemsMoved = true;
    if (here !== undefined) {
      this.forget(here);
      if (here.clientId === clientId) here.replace();
      else here.giveWay();
    } else if (this.byRoute.size >= this.settings.clientsMax) {
      refuse(SnReturnCode.Congestion);
      return;
    }
    const client = new SnClient(packet, route, this.memoryOf(clientId, packet.cleanSession, kept), this.clientWorld);
    this.byRoute.set(route.key, client);
    client.begin();
    this.onChanged(client);
  }

  /** 1.2 §6.2: a clean session has neither numbers nor will of before. */
  private memoryOf(clientId: string, cleanSession: boolean, kept: Remembered | undefined): Remembered {
    if (kept !== undefined && !cleanSession) return kept;
    const { predefined: all, predefinedOf, topicsPerClient } = this.settings;
    const own = predefinedOf.get(clientId);
    const predefined: PredefinedTopics = own === undefined ? all : new Map([...all, ...own]);
    return { topics: new TopicTable(predefined, topicsPerClient), predefined, will: undefined };
  }

  private adopt(client: SnClient): void {
    const { clientId } = client;
    const before = this.clients.get(clientId);
    this.clients.set(clientId, client);
    this.remembered.delete(clientId);
    // The broker has ended it by now, unless it has sessions by user name too.
    if (before !== undefined && before !== client) before.giveWay();
  }

  /** A sleeper's address has changed, as behind a router: it is known by its identifier. */
  private wakeElsewhere(clientId: string, route: Route, packet: SnPacket): void {
    const client = this.clients.get(clientId);
    if (client === undefined || !client.isPresent || !isSamePlace(client.route.peer, route.peer)) {
      // From somewhere else anybody could ask for its messages: it has to connect, and say who it is.
      this.disown(route);
      return;
    }
    const here = this.byRoute.get(route.key);
    if (here !== undefined) {
      this.forget(here);
      here.giveWay();
    }
    this.byRoute.delete(client.route.key);
    client.route = route;
    this.byRoute.set(route.key, client);
    client.receive(packet);
  }

  private disown(route: Route): void {
    if (this.mayAnswer(route)) this.send(route, encodeSn({ type: SnType.Disconnect, durationSeconds: undefined }));
  }

  private mayAnswer(route: Route): boolean {
    if (this.answers.take(route.origin)) return true;
    this.counters.unanswered++;
    return false;
  }

  private send(route: Route, message: Uint8Array): void {
    this.counters.sent++;
    route.send(message);
  }

  private onMalformed(error: SnError, route: Route): void {
    this.counters.malformed++;
    this.world.log.debug("MQTT-SN message cannot be understood", { ...placeOf(route.peer), reason: error.message });
    // 1.2 §5.3.8: a CONNECT of another protocol. Others hear nothing, since they may be no clients at all.
    if (error.reason === "protocol" && this.mayAnswer(route)) {
      this.send(route, encodeSn({ type: SnType.Connack, returnCode: SnReturnCode.NotSupported }));
    }
  }

  private onFault(error: unknown, fields: LogFields, client?: SnClient): void {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.world.log.error("Internal error while serving an MQTT-SN client", { ...fields, reason });
    if (client === undefined) return;
    try {
      client.fail();
    } catch {
      // It is gone all the same.
    }
    this.onChanged(client);
  }

  private onDue(client: SnClient, nowMs: number): void {
    try {
      client.tick(nowMs);
      this.onChanged(client);
    } catch (error) {
      this.onFault(error, client.logFields(), client);
    }
  }

  private onChanged(client: SnClient): void {
    if (client.state === "gone") this.forget(client);
    else this.watch(client);
    if (client.wasAccepted && this.world.onClient !== undefined) {
      try {
        this.world.onClient(client);
      } catch (error) {
        const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.world.log.error("Internal error while showing an MQTT-SN client", { ...client.logFields(), reason });
      }
    }
    this.reschedule();
  }

  /** A deadline that moves later is left: its client finds out when it is called early. */
  private watch(client: SnClient): void {
    const { deadlineMs } = client;
    const wantedMs = client.heapIndex === -1 ? Number.POSITIVE_INFINITY : client.dueMs;
    if (deadlineMs < wantedMs) this.deadlines.set(client, deadlineMs);
  }

  private forget(client: SnClient): void {
    this.deadlines.cancel(client);
    if (this.byRoute.get(client.route.key) === client) this.byRoute.delete(client.route.key);
    const { clientId, remembered } = client;
    if (this.clients.get(clientId) !== client) return;
    this.clients.delete(clientId);
    if (client.cleanSession) return;
    this.remembered.set(clientId, remembered);
    if (this.remembered.size > this.settings.clientsMax) {
      this.remembered.delete(this.remembered.keys().next().value!);
    }
  }

  private reschedule(): void {
    if (this.ticking) return;
    const dueMs = Math.min(this.deadlines.nextMs, this.connectionless.dueMs);
    if (dueMs === this.scheduledMs) return;
    this.scheduledMs = dueMs;
    this.world.schedule(dueMs);
  }
}
