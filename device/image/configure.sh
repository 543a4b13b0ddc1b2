#!/bin/sh
# configure.sh TREE PACKAGE: makes the tree of Debian that of the image. Runs in arm64-room.sh.
set -eu
tree=$1 package=$2
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
cp "$package" "$tree/package.deb"
# Nothing that a package installs is started here.
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"
chroot "$tree" sh -eu <<'INSIDE'
export DEBIAN_FRONTEND=noninteractive
# The packaged executable becomes the one that is always there; the command is a link to the one in use.
mkdir -p /usr/lib/mqtt-broker-image
dpkg-divert --quiet --local --rename --divert /usr/lib/mqtt-broker-image/factory --add /usr/bin/mqtt-broker
dpkg --install package.deb
rm package.deb usr/sbin/policy-rc.d
ln -s /data/slots/current usr/bin/mqtt-broker
/usr/lib/mqtt-broker-image/factory --version

systemctl enable mqtt-broker.service mqtt-broker-grow.service mqtt-broker-slots.service mqtt-broker-settings.service \
  mqtt-broker-wifi.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service
# The broker waits for no network, and so does nothing else.
systemctl disable systemd-networkd-wait-online.service
# mqtt-broker-settings starts ssh when there is a key for it; Wi-Fi has a unit of its own.
systemctl disable ssh.service ssh.socket wpa_supplicant.service
# systemd's own offer of ssh, over sockets that no gateway has.
mkdir -p /etc/systemd/system-generators
ln -s /dev/null /etc/systemd/system-generators/systemd-ssh-generator
# Nobody can log in at the screen: no user has a password.
systemctl mask getty@.service serial-getty@.service console-getty.service
# The image has no updates of its own packages: another image brings them.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service
for user in root $(awk -F: '$2 != "*" && $2 !~ /^!/ { print $1 }' /etc/shadow); do usermod --password '*' "$user"; done

ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
# Empty: each start makes one, on the read-only root too.
: >/etc/machine-id
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
ln -s /etc/machine-id /var/lib/dbus/machine-id
rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/*-old /var/log/* /var/tmp/* /tmp/*
mkdir -p /data /var/cache/mqtt-broker /var/lib/mqtt-broker
INSIDE
