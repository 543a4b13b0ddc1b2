import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { FakeMachine } from "./fake-machine.ts";

const READ = "usr/lib/mqtt-broker-image/settings-read";
const TEMPLATE = join(import.meta.dirname, "../../../device/image/boot/mqtt-broker.txt");
const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl kim@workshop";

interface Reading {
  settings: Record<string, string>;
  mistakes: string[];
}

/** `kept`: what an earlier start took. */
function read(context: TestContext, text: string | Uint8Array, kept: Record<string, string> = {}): Reading {
  const machine = new FakeMachine(context);
  const file = machine.write("mqtt-broker.txt", text);
  for (const folder of ["into", "kept"]) mkdirSync(join(machine.root, folder));
  for (const [name, value] of Object.entries(kept)) machine.write(`kept/${name}`, value);
  const { status, stdout, stderr } = machine.run(READ, [file, join(machine.root, "into"), join(machine.root, "kept")]);
  assert.deepEqual([status, stderr], [0, ""]);
  const names = readdirSync(join(machine.root, "into"));
  return {
    settings: Object.fromEntries(names.sort().map((name) => [name, machine.read(`into/${name}`)])),
    mistakes: stdout.split("\n").slice(0, -1),
  };
}

test("the settings of all names are read, with CRLF, a byte order mark, blanks and a last line without an end", (context) => {
  const text = [
    "\uFEFFhost-name = Workshop-2",
    "# a note, with = in it",
    "",
    '  Wifi-Name\t=  Müllers "Netz" = 5 ',
    'wifi-password= it\'s $HOME `a` \\ "b"',
    "wifi-country=de",
    "admin-password = correct horse = staple",
    `ssh-key = ${KEY}`,
  ].join("\r\n");
  assert.deepEqual(read(context, text), {
    settings: {
      "admin-password": "correct horse = staple",
      "host-name": "workshop-2",
      "ssh-key": KEY,
      "wifi-country": "DE",
      "wifi-name": 'Müllers "Netz" = 5',
      "wifi-password": 'it\'s $HOME `a` \\ "b"',
    },
    mistakes: [],
  });
});

test("the file as it comes on the card sets nothing and has no mistake", (context) => {
  assert.deepEqual(read(context, readFileSync(TEMPLATE)), { settings: {}, mistakes: [] });
});

test("each example in the file as it comes is right once its # is taken away", (context) => {
  const text = readFileSync(TEMPLATE, "utf8").replace(/^#(?=[a-z]+-[a-z]+ =)/gm, "");
  const { settings, mistakes } = read(context, text.replace("wifi-name =", "wifi-name = a\nwifi-password = none"));
  assert.deepEqual(mistakes, []);
  assert.deepEqual(settings, {
    "host-name": "workshop",
    "wifi-country": "DE",
    "wifi-name": "a",
    "wifi-password": "none",
  });
});

test("each mistake is told with its line, without the secret, and the other lines hold", (context) => {
  const text = [
    "host-name = my house",
    "host-name",
    "hostname = a",
    "admin-password = short",
    "wifi-country = Germany",
    "ssh-key = ssh-ed25519 notakey",
    "ssh-key = PRIVATE",
    "wifi-name = home",
    "wifi-password = seven77",
    "wifi-country = FR",
    `admin-password = ${"x".repeat(9)}`,
  ].join("\n");
  const { settings, mistakes } = read(context, text);
  assert.deepEqual(settings, {});
  const secretOnes = /short|seven77|PRIVATE|xxxxxxxxx/;
  assert.deepEqual(
    mistakes.filter((line) => secretOnes.test(line.replace("shorter", ""))),
    [],
  );
  const names = "host-name, wifi-name, wifi-password, wifi-country, admin-password, ssh-key";
  assert.deepEqual(mistakes, [
    "line 1: host-name has letters without accents, digits and hyphens between them, 63 at most: host-name = workshop",
    "line 2: there is no = in it: write name = value, or # in front of a note",
    `line 3: no setting has this name; they are ${names}`,
    "line 4: admin-password is shorter than 8 characters: take a longer one",
    "line 5: wifi-country is the two letters of a country, which say what channels are allowed: wifi-country = DE",
    "line 6: ssh-key is no public key: copy the whole line of a file such as id_ed25519.pub, which begins with ssh-ed25519",
    "line 7: ssh-key is already set further up: keep one of the two lines",
    "line 9: wifi-password has 8 to 63 letters, digits and signs without accents or curly quotes, or is the key in 64 hexadecimal digits; a network without one: wifi-password = none",
    "line 10: wifi-country is already set further up: keep one of the two lines",
    "line 11: admin-password is already set further up: keep one of the two lines",
  ]);
});

test("a Wi-Fi password belongs to a Wi-Fi name", (context) => {
  const alone = read(context, "wifi-password = 12345678\n");
  assert.deepEqual(alone, {
    settings: {},
    mistakes: ["line 1: wifi-password without a wifi-name: say which network it is for"],
  });
  const kept = { "wifi-name": "home", "wifi-password": "12345678" };
  assert.deepEqual(read(context, "wifi-password = 87654321\n", kept).settings, { "wifi-password": "87654321" });
  // As it stands in the file after an earlier start took the password.
  assert.deepEqual(read(context, "wifi-name = home\nwifi-password =         \n", kept), {
    settings: { "wifi-name": "home" },
    mistakes: [],
  });
  assert.deepEqual(read(context, "\nwifi-name = elsewhere\n", kept), {
    settings: {},
    mistakes: ["line 2: wifi-name without a wifi-password; for a network that has none: wifi-password = none"],
  });
});

test("names and passwords of Wi-Fi have the lengths that the standard allows", (context) => {
  const lengths = (value: string) =>
    Object.keys(read(context, `wifi-name = n\nwifi-password = ${value}`).settings).length;
  assert.deepEqual(
    [7, 8, 63, 64, 65].map((length) => lengths("p".repeat(length))),
    [0, 2, 2, 0, 0],
  );
  assert.equal(lengths("0aF".repeat(21).concat("9")), 2);
  assert.equal(lengths("pässword"), 0);
  const name = (value: string) => read(context, `wifi-name = ${value}\nwifi-password = none`).mistakes.length;
  assert.deepEqual([name("ä".repeat(16)), name("ä".repeat(17))], [0, 1]);
});

test("a file in UTF-16 is told how to be saved", (context) => {
  const text = Buffer.from("\uFEFFhost-name = a\r\n", "utf16le");
  assert.deepEqual(read(context, text), {
    settings: {},
    mistakes: [
      "line 1: the file is saved as UTF-16: save it as UTF-8, in Notepad by 'Save as' with the encoding UTF-8",
    ],
  });
});

test("a name or a password that is saved as Latin-1 is told from one in UTF-8", (context) => {
  const text = "wifi-name = Büro\nadmin-password = Schlüssel\nwifi-country = uk\n";
  assert.deepEqual(read(context, Buffer.from(`${text}wifi-password = none`, "utf8")), {
    settings: { "admin-password": "Schlüssel", "wifi-country": "GB", "wifi-name": "Büro", "wifi-password": "none" },
    mistakes: [],
  });
  const advice =
    "has a letter that is not saved as UTF-8: save the file anew, in Notepad by 'Save as' with the encoding UTF-8";
  assert.deepEqual(read(context, Buffer.from(text, "latin1")), {
    settings: { "wifi-country": "GB" },
    mistakes: [`line 1: wifi-name ${advice}`, `line 2: admin-password ${advice}`],
  });
});

test("a key that was pasted over two lines, and curly quotes about a password, are told", (context) => {
  const { settings, mistakes } = read(
    context,
    `ssh-key = ${KEY.replace("AAAA", "AAAA\r\n")}\r\nwifi-name = n\r\nwifi-password = “12345678”`,
  );
  assert.deepEqual(settings, {});
  assert.deepEqual(
    mistakes.map((line) => line.slice(0, 30)),
    ["line 1: ssh-key is no public k", "line 2: there is no = in it: w", "line 4: wifi-password has 8 to"],
  );
});

test("a long file is not read, since that would take minutes on a small board", (context) => {
  const filler = "#".repeat(16_384 - "\nhost-name = a\n".length);
  assert.deepEqual(read(context, `${filler}\nhost-name = a\n`), { settings: { "host-name": "a" }, mistakes: [] });
  const startedMs = performance.now();
  assert.deepEqual(read(context, `${filler}#\nhost-name = a\n${"x = y\n".repeat(1_000_000)}`), {
    settings: {},
    mistakes: ["line 1: the file is longer than 16 KiB, so nothing of it is read: keep the lines of settings only"],
  });
  assert.equal(performance.now() - startedMs < 10_000, true);
});

test("random bytes are reported, and stop nothing", (context) => {
  const bytes = Uint8Array.from({ length: 4096 }, (_, index) => (index * 2_654_435_761) >>> 24);
  const { settings, mistakes } = read(context, bytes);
  assert.deepEqual(settings, {});
  assert.notEqual(mistakes.length, 0);
});
