/**
 * JSON as mosquitto_sub prints it: members in the order they came, also repeated ones, and numbers as C's "%.15g"
 * (or "%.17g" where that loses something). JSON.parse and JSON.stringify would reorder, merge and round.
 */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;

/**
 * Prints valid JSON in one line, or, when `pretty`, over several with tabs.
 * Throws a SyntaxError when `text` is not JSON.
 */
export function formatJson(text: string, pretty: boolean): string {
  JSON.parse(text);
  const tokens = text.match(TOKEN) ?? [];
  const open: string[] = [];
  let out = "";
  for (const [at, token] of tokens.entries()) {
    if (token === "{" || token === "[") open.push(token);
    if (token === "}" || token === "]") open.pop();
    out += pretty ? prettyToken(token, tokens[at - 1], open) : plainToken(token);
  }
  return out;
}

function plainToken(token: string): string {
  if (token.startsWith('"')) return JSON.stringify(JSON.parse(token));
  return /^[-\d]/.test(token) ? formatNumber(Number(token)) : token;
}

function prettyToken(token: string, before: string | undefined, open: readonly string[]): string {
  const tabs = "\t".repeat(open.length);
  if (token === ":") return ":\t";
  if (token === ",") return open.at(-1) === "{" ? `,\n${tabs}` : ", ";
  if (token === "{") return "{\n";
  if (token === "}") return before === "{" ? `${tabs}}` : `\n${tabs}}`;
  return before === "{" ? tabs + plainToken(token) : plainToken(token);
}

function formatNumber(value: number): string {
  if (Object.is(value, -0)) return "-0";
  const short = value.toPrecision(15);
  const digits = Number(short) === value ? 15 : 17;
  const [mantissa, exponentText] = value.toExponential(digits - 1).split("e") as [string, string];
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < digits) return trimZeros(value.toFixed(Math.max(0, digits - 1 - exponent)));
  const sign = exponent < 0 ? "-" : "+";
  return `${trimZeros(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

function trimZeros(digits: string): string {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}
