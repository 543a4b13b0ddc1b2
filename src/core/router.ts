import { encodeUtf8 } from "../codec/text.ts";
import { Matcher } from "../topic/matcher.ts";
import type { Verdict } from "./access.ts";
import type { InlineSubscription } from "./inline.ts";
import type { Session } from "./session.ts";
import { SharedGroup } from "./shared-group.ts";
import { mergeSubscriptions, Subscription } from "./subscription.ts";

/** Topics whose receivers are remembered, and receivers remembered for all of them together. */
const ROUTES_MAX = 16_384;
const ROUTE_TARGETS_MAX = 1_000_000;

type Match = Subscription | SharedGroup | InlineSubscription;

/** Who gets messages of one topic, each session once. Valid while `generation` is the router's. */
export class Route {
  readonly generation: number;
  /** The Topic Name in UTF-8, ready to be written; undefined where nobody is to be written to. */
  readonly topic: Uint8Array | undefined;
  readonly targets: readonly Subscription[];
  readonly groups: readonly SharedGroup[];
  readonly inline: readonly InlineSubscription[];
  /** See Permissions.ofRoute: the generation of verdicts that `verdicts` is of, and -1 for none. */
  judged = -1;
  verdicts: readonly Verdict[] | undefined = undefined;

  constructor(
    generation: number,
    topic: Uint8Array | undefined,
    targets: readonly Subscription[],
    groups: readonly SharedGroup[],
    inline: readonly InlineSubscription[],
  ) {
    this.generation = generation;
    this.topic = topic;
    this.targets = targets;
    this.groups = groups;
    this.inline = inline;
  }
}

/** Topic Name -> receivers. Routes are remembered, and all forgotten as soon as any subscription changes. */
export class Router {
  private readonly matcher = new Matcher<Match>();
  private readonly routes = new Map<string, Route>();
  private readonly groups = new Map<string, SharedGroup>();
  private rememberedTargets = 0;
  private rememberedGeneration = -1;
  private nobody = routeToNobody(-1);
  /** Scratch of `route`. */
  private readonly found: Match[] = [];
  /** Response Information: first level of a topic -> the one session that may receive from it. */
  readonly responseTopics = new Map<string, Session>();

  get generation(): number {
    return this.matcher.generation;
  }

  add(subscription: Subscription): void {
    const { group } = subscription;
    if (group === undefined) {
      this.matcher.add(subscription.topicFilter, subscription);
      return;
    }
    if (group.members.length === 0) {
      this.groups.set(groupKey(group.shareName, group.topicFilter), group);
      this.matcher.add(group.topicFilter, group);
    }
    group.add(subscription);
  }

  remove(subscription: Subscription): void {
    const { group } = subscription;
    if (group === undefined) {
      this.matcher.remove(subscription.topicFilter, subscription);
      return;
    }
    group.remove(subscription);
    if (group.members.length !== 0) return;
    this.groups.delete(groupKey(group.shareName, group.topicFilter));
    this.matcher.remove(group.topicFilter, group);
  }

  addInline(subscription: InlineSubscription): void {
    this.matcher.add(subscription.topicFilter, subscription);
  }

  removeInline(subscription: InlineSubscription): void {
    this.matcher.remove(subscription.topicFilter, subscription);
  }

  /** The share of that name and filter; a new one that is not routed to yet when there is none. */
  group(shareName: string, topicFilter: string): SharedGroup {
    return this.groups.get(groupKey(shareName, topicFilter)) ?? new SharedGroup(shareName, topicFilter);
  }

  route(topicName: string): Route {
    const generation = this.matcher.generation;
    if (generation !== this.rememberedGeneration) this.forget(generation);
    const known = this.routes.get(topicName);
    if (known !== undefined) return known;
    const { found } = this;
    found.length = 0;
    this.matcher.match(topicName, found);
    // Topics that nobody hears are often many and seen once, such as retained ones: they are not remembered.
    if (found.length === 0) return this.nobody;
    const route = this.find(topicName, found, generation);
    if (this.routes.size >= ROUTES_MAX || this.rememberedTargets > ROUTE_TARGETS_MAX) this.forget(generation);
    this.rememberedTargets += route.targets.length;
    this.routes.set(topicName, route);
    return route;
  }

  /** The session that alone may receive from this topic or filter, when it is somebody's Response Information. */
  responseOwner(topic: string): Session | undefined {
    if (this.responseTopics.size === 0 || !topic.startsWith("res_")) return undefined;
    const end = topic.indexOf("/");
    return this.responseTopics.get(end === -1 ? topic : topic.slice(0, end));
  }

  private forget(generation: number): void {
    if (this.routes.size > 0) this.routes.clear();
    this.rememberedTargets = 0;
    this.rememberedGeneration = generation;
    if (this.nobody.generation !== generation) this.nobody = routeToNobody(generation);
  }

  private find(topicName: string, found: readonly Match[], generation: number): Route {
    const groups: SharedGroup[] = [];
    const inline: InlineSubscription[] = [];
    const bySession = new Map<Session, Subscription[]>();
    const owner = this.responseOwner(topicName);
    for (const match of found) {
      if (match instanceof SharedGroup) {
        if (owner === undefined) groups.push(match);
      } else if (match instanceof Subscription) {
        if (owner !== undefined && match.session !== owner) continue;
        const parts = bySession.get(match.session);
        if (parts === undefined) bySession.set(match.session, [match]);
        else parts.push(match);
      } else {
        inline.push(match);
      }
    }
    const targets: Subscription[] = [];
    for (const parts of bySession.values()) targets.push(mergeSubscriptions(parts));
    return new Route(generation, encodeUtf8(topicName), targets, groups, inline);
  }
}

function routeToNobody(generation: number): Route {
  return new Route(generation, undefined, [], [], []);
}

/** A Share Name has no "/", so the first one separates. */
function groupKey(shareName: string, topicFilter: string): string {
  return `${shareName}/${topicFilter}`;
}
