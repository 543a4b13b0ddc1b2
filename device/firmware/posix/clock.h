#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Milliseconds of a clock that nobody sets. */
uint32_t clock_ms(void);

#endif
