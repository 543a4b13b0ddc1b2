// Exact accounts of what was sent and what arrived, per pair of publisher and subscriber.
//
// Every payload carries its publisher and a sequence number. A subscriber that sees a number above the one it waits
// for notes the gap; a number below closes a gap (it came late: reordered) or was there before (duplicated). What is
// still a gap at the end, or never came, is lost.
#pragma once
#include "wire.h"

enum { STAMP_BYTES = 16, STAMP_MAGIC = 0x6d71 };

// The first 16 bytes of every payload, in the machine's own order: the same process reads them.
struct stamp {
  uint16_t magic;
  uint16_t publisher;
  uint32_t sequence;
  int64_t time_ns;
};

struct gap {
  uint32_t from, to; // to is the first that is not missing
};

struct seen {
  uint32_t next; // the sequence number awaited
  uint32_t gap_count, gap_capacity;
  struct gap *gaps; // ascending
};

struct totals {
  uint64_t delivered; // PUBLISH packets that arrived, duplicates included
  uint64_t duplicated, reordered;
  uint64_t misrouted; // arrived where nobody had subscribed, or with a payload that nobody sent
};

// Handles the rare arrival that is not the awaited number.
void seen_out_of_order(struct seen *seen, uint32_t sequence, struct totals *totals);
// Of the `sent` first numbers, how many never came.
uint64_t seen_lost(const struct seen *seen, uint32_t sent);

static inline void seen_arrived(struct seen *seen, uint32_t sequence, struct totals *totals) {
  totals->delivered++;
  if (sequence == seen->next) {
    seen->next++;
  } else {
    seen_out_of_order(seen, sequence, totals);
  }
}
