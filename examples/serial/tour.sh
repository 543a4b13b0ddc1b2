#!/bin/sh
# A microcontroller on a serial line, without either: two ends of a pty, the broker at one, and at the other the firmware's
# library in a program for PCs. It publishes a number a second, sleeps in between, and is told set-points when it wakes.
#
#   sh examples/serial/tour.sh [SECONDS]        needs socat and gcc
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${1:-10}
port=${PORT:-1883}
place=$(mktemp -d)
running=

finish() {
  trap - EXIT INT TERM
  # The node would say goodbye to a gateway that is gone.
  for pid in $running; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$place"
}
trap finish EXIT INT TERM

for program in socat gcc; do
  command -v "$program" >/dev/null || {
    echo "The tour needs $program: apt-get install -y $program" >&2
    exit 1
  }
done

sh "$root/device/firmware/posix/build.sh" "$place/node"
socat "pty,raw,echo=0,link=$place/broker" "pty,raw,echo=0,link=$place/node-line" &
running="$!"

# Every command below is one that you can type with a real line in the place of the pty.
if [ -x "$root/packaging/node" ]; then set -- "$root/packaging/node" "$root/src/main.ts"; else set -- mqtt-broker; fi
"$@" --mdns off --bind 127.0.0.1 --tcp-port "$port" --store memory --allow-anonymous true \
  --serial "$place/broker:115200,framing=slip-crc" --log-level warn &
running="$running $!"

tries=0
until "$@" pub -h 127.0.0.1 -p "$port" -t garden/pump/set -r -m off >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -gt 50 ]; then
    echo "The broker does not answer on port $port: see what it says above" >&2
    exit 1
  fi
  sleep 0.2
done
"$@" sub -h 127.0.0.1 -p "$port" -t 'garden/#' -v &
running="$running $!"

"$place/node" --device "$place/node-line" --id greenhouse --publish garden/temperature --payload "21." --each 1000 \
  --subscribe garden/pump/set --sleep 5 --wake 2000 --for "$((seconds * 1000))" &
node=$!
running="$running $node"
sleep "$((seconds / 2))"
"$@" pub -h 127.0.0.1 -p "$port" -t garden/pump/set -q 1 -m on
wait "$node"
