#!/bin/sh
# data-tree.sh TREE DATA: moves what changes out of the tree of the image into the folder DATA, which becomes the data
# partition. The folders stay in the tree, empty: there /etc/fstab mounts them.
set -eu
tree=$1 data=$2
mkdir -p "$data/slots" "$data/ssh" "$data/settings"
chmod 755 "$data" "$data/slots"
chmod 700 "$data/ssh" "$data/settings"
for pair in etc/mqtt-broker:etc var/lib/mqtt-broker:broker var/cache/mqtt-broker:cache var/lib/systemd:systemd; do
  from=$tree/${pair%%:*} to=$data/${pair##*:}
  cp -a "$from" "$to"
  find "$from" -mindepth 1 -delete
done
ln -s /usr/lib/mqtt-broker-image/factory "$data/slots/current"
