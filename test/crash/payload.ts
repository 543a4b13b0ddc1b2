const FILLER = "abcdefghijklmnopqrstuvwxyz".repeat(400);

/**
 * What is published on a topic under this number, and nothing else ever is: whoever receives it can tell a value that
 * was never published. Mostly some hundred bytes; one in forty has several pages.
 */
export function payloadOf(topic: string, number: number): string {
  const length = number % 40 === 39 ? 6_000 + (number % 1_000) : (number * 37) % 300;
  return `${number} ${topic} ${FILLER.slice(0, length)}`;
}

/** The number of a payload, undefined when it is not exactly what was published. */
export function numberOf(topic: string, payload: string): number | undefined {
  const number = Number.parseInt(payload, 10);
  return Number.isInteger(number) && payload === payloadOf(topic, number) ? number : undefined;
}
