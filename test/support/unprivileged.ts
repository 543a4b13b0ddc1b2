/**
 * Words before a command, so that permissions hold for it as for anybody: root gives up the right to pass over them but
 * stays its user, since the checkout may lie where no other user may look.
 */
const RIGHTS = "-dac_override,-dac_read_search";
export const UNPRIVILEGED: readonly string[] =
  process.getuid?.() === 0 ? ["setpriv", `--bounding-set=${RIGHTS}`, `--inh-caps=${RIGHTS}`, "--"] : [];
