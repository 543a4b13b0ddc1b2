#!/bin/sh
# Prints how much code and memory the library takes on a Cortex-M0 and on an AVR: sizes.sh [flags of the compiler]
# Needs Debian's gcc-arm-none-eabi and gcc-avr; a compiler that is missing is told of and left out.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# $1 the machine, $2 its compiler, $3 what the compiler is told, the rest: of all
measure() {
  name=$1
  prefix=$2
  machine=$3
  shift 3
  if ! command -v "$prefix-gcc" >/dev/null; then
    echo "$name: $prefix-gcc is not installed (apt-get install gcc-${prefix%-gcc})" >&2
    return
  fi
  total=0
  line=
  for source in client packet framing; do
    # shellcheck disable=SC2086
    "$prefix-gcc" $machine -std=c99 -Os -ffreestanding "$@" -c "$here/src/$source.c" -o "$work/$source.o"
    code=$("$prefix-size" "$work/$source.o" | awk 'NR == 2 { print $1 }')
    data=$("$prefix-size" "$work/$source.o" | awk 'NR == 2 { print $2 + $3 }')
    line="$line $source $code"
    total=$((total + code))
    [ "$data" -eq 0 ] || line="$line (+$data data)"
  done
  # The structures, as the sizes of arrays in an object that is not linked.
  printf '%s\n' '#include "mqttsn.h"' '#include "mqttsn-line.h"' 'char client[sizeof(mqttsn_client)];' \
    'char line[sizeof(mqttsn_line)];' 'char topic[sizeof(mqttsn_topic)];' 'char told[sizeof(mqttsn_told)];' >"$work/ram.c"
  # shellcheck disable=SC2086
  "$prefix-gcc" $machine -std=c99 -ffreestanding -fno-common -I"$here/include" "$@" -c "$work/ram.c" -o "$work/ram.o"
  ram=$("$prefix-nm" -S "$work/ram.o" | awk 'NF == 4 { print $2, $4 }' |
    while read -r size symbol; do echo "$symbol $((0x$size))"; done | sort | tr '\n' ' ')
  echo "$name: code $total octets ($(echo $line)); each: ${ram% }"
}

measure "Cortex-M0" arm-none-eabi "-mcpu=cortex-m0 -mthumb" "$@"
measure "ATmega328P" avr "-mmcu=atmega328p" "$@"
