#!/bin/sh
# Builds the node: build.sh OUTPUT [flags of the compiler, as -DMQTTSN_FRAMING=MQTTSN_COBS_CRC]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:?"build.sh OUTPUT [flags of the compiler]"}
shift
exec "${CC:-gcc}" -std=c99 -O2 -Wall -Wextra -Werror -pedantic "$@" -o "$output" \
  "$here"/../src/*.c "$here"/*.c
