/** Who is named in the package; there is no list or address that is read. */
export const MAINTAINER = "The mqtt-broker authors <mqtt-broker@users.noreply.example.org>";

/**
 * glibc and the C++ library are those of the oldest Debian on which the add-ons of the executable load, 12. The accounts are
 * made by systemd-sysusers, the unit is enabled by deb-systemd-helper.
 */
const DEPENDS = [
  "init-system-helpers (>= 1.52)",
  "libc6 (>= 2.34)",
  "libgcc-s1",
  "libstdc++6 (>= 11)",
  "systemd | systemd-standalone-sysusers | systemd-sysusers",
];

/** The file `control` of the package. `kilobytes`: what it takes on disk, in units of 1,024 bytes. */
export function controlFile({
  architecture,
  version,
  kilobytes,
}: {
  architecture: string;
  version: string;
  kilobytes: number;
}): string {
  return `Package: mqtt-broker
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${kilobytes}
Depends: ${DEPENDS.join(", ")}
Suggests: avahi-daemon, mosquitto-clients
Section: net
Priority: optional
Description: MQTT broker that is flashed onto a gateway and forgotten
 An MQTT 3.1, 3.1.1 and 5.0 broker for machines that nobody looks after: a
 Raspberry Pi between sensors and the programs that listen to them.
 .
 It speaks TCP, TLS, WebSocket, QUIC and Unix sockets, and MQTT-SN over UDP
 and serial lines. Sessions, queues and retained messages outlive power cuts.
 Users and rules are in one file, and a change of it holds at once.
 .
 As installed, programs on the same machine may connect, and nobody else:
 "mqtt-broker passwd add NAME" lets somebody in.
`;
}
