import type { Publish } from "../codec/packet.ts";
import { type Hooks, IGNORE, Refusal } from "./hooks.ts";
import type { Subscription } from "./subscription.ts";

/**
 * The members of one share and filter, 5.0 §4.8.2. Each message goes to one of them in turn:
 * a live one when there is one, else a stored session that keeps it.
 */
export class SharedGroup {
  readonly shareName: string;
  readonly topicFilter: string;
  readonly members: Subscription[] = [];
  private turn = 0;

  constructor(shareName: string, topicFilter: string) {
    this.shareName = shareName;
    this.topicFilter = topicFilter;
  }

  /** A member that subscribes again takes its own place, so that the turn does not jump. */
  add(subscription: Subscription): void {
    const index = this.members.findIndex((member) => member.session === subscription.session);
    if (index === -1) this.members.push(subscription);
    else this.members[index] = subscription;
  }

  remove(subscription: Subscription): void {
    const index = this.members.indexOf(subscription);
    if (index === -1) return;
    this.members.splice(index, 1);
    if (index < this.turn) this.turn--;
  }

  /**
   * Who gets the next message. Live members whose link takes more come first, then live ones that
   * are slow, then those away with a stored session; within each, in turn. undefined when nobody can take it.
   * Members for whom `mayReceive` does not hold are passed over; when it is undefined, everybody may.
   */
  select(
    hooks: Hooks,
    publish: () => Publish,
    mayReceive: ((member: Subscription) => boolean) | undefined,
  ): Subscription | undefined {
    if (hooks.present.onSelectSubscribers) return this.selectByHook(hooks, publish, mayReceive);
    const { members } = this;
    let live: Subscription | undefined;
    let away: Subscription | undefined;
    for (let step = 0; step < members.length; step++) {
      const index = (this.turn + step) % members.length;
      const member = members[index]!;
      if (mayReceive !== undefined && !mayReceive(member)) continue;
      if (member.session.delivery.ready) {
        this.turn = index + 1;
        return member;
      }
      if (member.session.live) live ??= member;
      else if (member.session.keepsWhileAway) away ??= member;
    }
    const chosen = live ?? away;
    if (chosen !== undefined) this.turn = members.indexOf(chosen) + 1;
    return chosen;
  }

  private selectByHook(
    hooks: Hooks,
    publish: () => Publish,
    mayReceive: ((member: Subscription) => boolean) | undefined,
  ): Subscription | undefined {
    const inTurn = this.members.map((_, step) => this.members[(this.turn + step) % this.members.length]!);
    const rank = (member: Subscription): number => (member.session.delivery.ready ? 0 : member.session.live ? 1 : 2);
    const candidates = inTurn
      .filter((member) => member.session.live || member.session.keepsWhileAway)
      .filter((member) => mayReceive === undefined || mayReceive(member))
      .sort((a, b) => rank(a) - rank(b));
    const packet = publish();
    const given = { group: this.shareName, candidates: [...candidates] };
    const selection = hooks.pass("onSelectSubscribers", given, (hook, value) =>
      hook.onSelectSubscribers!(value, packet),
    );
    // A hook that throws has no say: the message goes where it would go without one.
    const undecided = selection instanceof Refusal || selection === IGNORE;
    const chosen = undecided ? candidates[0] : selection.candidates[0];
    if (chosen !== undefined) this.turn = this.members.indexOf(chosen) + 1;
    return chosen;
  }
}
