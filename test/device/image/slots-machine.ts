import { readdirSync, readFileSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { FakeMachine, type Lifetime } from "./fake-machine.ts";

export const SLOTS = "usr/lib/mqtt-broker-image/slots";
export const UPDATE = "usr/sbin/mqtt-broker-update";
export const FACTORY = "usr/lib/mqtt-broker-image/factory";
export const SECONDS = { MQTT_BROKER_TRIAL_SECONDS: "1" };

/**
 * An executable of which `fault` says how it fails. Its store is a file of words, the first of which is its format (that
 * of the log beside it counts, where it has one); when
 * it starts as the service it writes its own format and adds its version, as if it had acknowledged a message. It puts a
 * store of a newer format aside.
 */
export function executable(version: string, fault = "", format = 1): string {
  return `#!/bin/sh
# ${fault}
case "$1" in
  --version) echo "mqtt-broker ${version}" ;;
  store)
    format=$(cat "$4/mqtt-broker.db-wal" "$4/mqtt-broker.db" 2>/dev/null | grep -m 1 -o '^[12]')
    [ -e "$4/mqtt-broker.db" ] && [ "$format" -le ${format} ] && echo '{"type":"mqtt-broker-store"}'
    ;;
  run)
    cd "$2" || exit 1
    read -r format words <mqtt-broker.db || words=
    [ "\${format:-0}" -le ${format} ] || { words= && mv mqtt-broker.db "mqtt-broker.db.version-$format"; }
    echo "${format} $words ${version}" >mqtt-broker.db
    ;;
esac
`;
}

/**
 * A machine whose systemctl knows of the executable in use whether it becomes ready ("never-ready"), is restarted after
 * ("crashes"), is gone ("ends"), or is where the power goes ("power"). The store holds the word "kept".
 */
export function slotsMachine(lifetime: Lifetime): FakeMachine {
  const machine = new FakeMachine(lifetime);
  machine.write(FACTORY, executable("1"), 0o755);
  symlinkSync(join(machine.root, FACTORY), join(machine.root, "data/slots/current"));
  machine.write("data/broker/mqtt-broker.db", "1 kept\n");
  const has = (word: string) => `grep -q '# ${word}' "$MQTT_BROKER_IMAGE_ROOT/data/slots/current"`;
  machine.command(
    "systemctl",
    `case "$1" in
       start) if [ "$2" = mqtt-broker.service ]; then
           PATH=\${PATH#*:} "$MQTT_BROKER_IMAGE_ROOT/data/slots/current" run "$MQTT_BROKER_IMAGE_ROOT/data/broker"
           if ${has("power")}; then kill -9 $PPID; fi
           ! ${has("never-ready")}
         else
           exec '${join(import.meta.dirname, "../../../device/image/root", SLOTS)}' try "$(expr "$2" : '.*@\\(.\\)')"
         fi ;;
       show) if ${has("crashes")}; then echo x >>"$MQTT_BROKER_IMAGE_ROOT/n"; wc -l <"$MQTT_BROKER_IMAGE_ROOT/n"; else echo 0; fi ;;
       is-active) if ${has("ends")}; then echo failed; exit 3; else echo active; fi ;;
     esac`,
  );
  machine.command("sleep");
  // In place of another user, whom only root can become.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
  machine.command("setpriv", 'while [ "$1" != "${1#--}" ]; do shift; done; exec "$@"');
  return machine;
}

/** Where the link points to that says which executable is in use. */
export function current(machine: FakeMachine): string {
  return readlinkSync(join(machine.root, "data/slots/current")).slice(machine.root.length);
}

/** The folder of the executables. */
export function slots(machine: FakeMachine): string[] {
  return readdirSync(join(machine.root, "data/slots")).sort();
}

/** What is in the store, and in those that were put aside, by what their names begin with. */
export function stores(machine: FakeMachine): Record<string, string> {
  const folder = join(machine.root, "data/broker");
  const names = readdirSync(folder).filter((name) => name !== "mqtt-broker.ballast");
  return Object.fromEntries(
    names.map((name) => [
      name.replace(/(?<=update-)\d{8}T\d{6}Z/, "TIME"),
      readFileSync(join(folder, name), "utf8").trim(),
    ]),
  );
}
