import { logProblems } from "../auth/log-problems.ts";
import { HostClock } from "../os/clock.ts";
import { HostLog, isJournal } from "../os/log.ts";
import { openNotifier } from "../os/notify.ts";
import { formatProblem, type Problem } from "../text/problem.ts";
import { ServiceState } from "./service-state.ts";

const STDERR = 2;

/**
 * Says on standard error why the configuration lets no broker start. In systemd's journal these are errors, as
 * `journalctl -p warning` looks for them, and the first of them is on the line of `systemctl status`, which shows nothing
 * of the journal where a process has ended at once.
 */
export function refuseToStart(problems: readonly Problem[]): void {
  const { env, stderr } = process;
  const log = new HostLog({ clock: new HostClock(), level: "warn", format: "journal", output: stderr });
  if (isJournal(env.JOURNAL_STREAM, STDERR)) logProblems(log, problems);
  else for (const problem of problems) stderr.write(`${formatProblem(problem)}\n`);
  const notifier = openNotifier(env, log);
  if (notifier !== undefined) new ServiceState({ notifier, watchdogMs: undefined }).refused(problems);
}
