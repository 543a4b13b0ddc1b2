#include "account.h"
#include <stdlib.h>
#include <string.h>

static void add_gap(struct seen *seen, uint32_t at, struct gap gap) {
  if (seen->gap_count == seen->gap_capacity) {
    seen->gap_capacity = seen->gap_capacity ? seen->gap_capacity * 2 : 16;
    seen->gaps = realloc(seen->gaps, seen->gap_capacity * sizeof *seen->gaps);
  }
  memmove(seen->gaps + at + 1, seen->gaps + at, (seen->gap_count - at) * sizeof *seen->gaps);
  seen->gaps[at] = gap;
  seen->gap_count++;
}

static void remove_gap(struct seen *seen, uint32_t at) {
  seen->gap_count--;
  memmove(seen->gaps + at, seen->gaps + at + 1, (seen->gap_count - at) * sizeof *seen->gaps);
}

// The index of the first gap that ends after `sequence`.
static uint32_t find_gap(const struct seen *seen, uint32_t sequence) {
  uint32_t low = 0, high = seen->gap_count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (seen->gaps[middle].to <= sequence) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void seen_out_of_order(struct seen *seen, uint32_t sequence, struct totals *totals) {
  if (sequence > seen->next) {
    add_gap(seen, seen->gap_count, (struct gap){seen->next, sequence});
    seen->next = sequence + 1;
    return;
  }
  uint32_t at = find_gap(seen, sequence);
  if (at == seen->gap_count || sequence < seen->gaps[at].from) {
    totals->duplicated++;
    return;
  }
  totals->reordered++;
  struct gap *gap = &seen->gaps[at];
  if (gap->from == sequence) {
    gap->from++;
    if (gap->from == gap->to) remove_gap(seen, at);
  } else if (gap->to == sequence + 1) {
    gap->to--;
  } else {
    struct gap after = {sequence + 1, gap->to};
    gap->to = sequence;
    add_gap(seen, at + 1, after);
  }
}

uint64_t seen_lost(const struct seen *seen, uint32_t sent) {
  uint64_t lost = sent > seen->next ? sent - seen->next : 0;
  for (uint32_t i = 0; i < seen->gap_count; i++) lost += seen->gaps[i].to - seen->gaps[i].from;
  return lost;
}
