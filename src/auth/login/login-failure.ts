import { ReasonCode } from "../../codec/reason.ts";
import { Refusal } from "../../core/hooks.ts";

/** Nobody was let in. The client hears as little as can be said; the log hears why. */
export class LoginFailure extends Refusal {
  /** One clause for the log, with the place of the entry where one decided: "wrong password for user kim (auth.json5:7:5)". */
  override readonly logReason: string;
  /**
   * It may have been somebody who tries names, passwords or tokens. False where credentials were missing, right but not from
   * here, or could not be checked.
   */
  readonly guess: boolean;

  constructor(logReason: string, guess: boolean, reasonCode: ReasonCode = ReasonCode.NotAuthorized) {
    super(reasonCode, reasonCode === ReasonCode.ServerUnavailable ? "try again later" : "not authorized");
    this.logReason = logReason;
    this.guess = guess;
  }
}
