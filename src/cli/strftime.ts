const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

const two = (value: number): string => String(value).padStart(2, "0");
const spaced = (value: number): string => String(value).padStart(2, " ");

/**
 * One conversion of C's strftime(3) in the C locale and the local time zone: "Y" gives "2026".
 * A letter that has no meaning comes back with its "%", as glibc prints it.
 */
export function strftime(letter: string, date: Date): string {
  const conversion = Object.hasOwn(CONVERSIONS, letter) ? CONVERSIONS[letter] : undefined;
  return conversion === undefined ? `%${letter}` : conversion(date);
}

/** "2026-11-21T12:04:26+0000": what `%I` of a format prints. */
export function isoSeconds(date: Date): string {
  return `${strftime("F", date)}T${strftime("T", date)}${strftime("z", date)}`;
}

const CONVERSIONS: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => DAYS[date.getDay()]!.slice(0, 3),
  A: (date) => DAYS[date.getDay()]!,
  b: (date) => MONTHS[date.getMonth()]!.slice(0, 3),
  B: (date) => MONTHS[date.getMonth()]!,
  c: (date) => join(date, "a", " ", "b", " ", "e", " ", "T", " ", "Y"),
  C: (date) => two(Math.floor(date.getFullYear() / 100)),
  d: (date) => two(date.getDate()),
  D: (date) => join(date, "m", "/", "d", "/", "y"),
  e: (date) => spaced(date.getDate()),
  F: (date) => join(date, "Y", "-", "m", "-", "d"),
  g: (date) => two(isoWeek(date).year % 100),
  G: (date) => String(isoWeek(date).year),
  h: (date) => strftime("b", date),
  H: (date) => two(date.getHours()),
  I: (date) => two(hour12(date)),
  j: (date) => String(dayOfYear(date) + 1).padStart(3, "0"),
  k: (date) => spaced(date.getHours()),
  l: (date) => spaced(hour12(date)),
  m: (date) => two(date.getMonth() + 1),
  M: (date) => two(date.getMinutes()),
  n: () => "\n",
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  P: (date) => (date.getHours() < 12 ? "am" : "pm"),
  r: (date) => join(date, "I", ":", "M", ":", "S", " ", "p"),
  R: (date) => join(date, "H", ":", "M"),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  S: (date) => two(date.getSeconds()),
  t: () => "\t",
  T: (date) => join(date, "H", ":", "M", ":", "S"),
  u: (date) => String(date.getDay() || 7),
  U: (date) => two(Math.floor((dayOfYear(date) + 7 - date.getDay()) / 7)),
  V: (date) => two(isoWeek(date).week),
  w: (date) => String(date.getDay()),
  W: (date) => two(Math.floor((dayOfYear(date) + 7 - mondayBased(date)) / 7)),
  x: (date) => strftime("D", date),
  X: (date) => strftime("T", date),
  y: (date) => two(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  z: (date) => zoneOffset(date),
  Z: (date) =>
    new Intl.DateTimeFormat("en-US", { timeZoneName: "short" }).formatToParts(date).at(-1)?.value ?? zoneOffset(date),
  "%": () => "%",
};

/** Letters are conversions, everything else stands for itself. */
function join(date: Date, ...parts: readonly string[]): string {
  return parts.map((part) => (/[A-Za-z]/.test(part) ? strftime(part, date) : part)).join("");
}

function hour12(date: Date): number {
  return date.getHours() % 12 || 12;
}

function mondayBased(date: Date): number {
  return (date.getDay() + 6) % 7;
}

/** From 0. Counted in UTC of the local calendar, so that no change of the clocks falls in between. */
function dayOfYear(date: Date): number {
  const year = date.getFullYear();
  return (Date.UTC(year, date.getMonth(), date.getDate()) - Date.UTC(year, 0, 1)) / 86_400_000;
}

/** ISO 8601: the week belongs to the year that has its Thursday. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() - mondayBased(date) + 3);
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

function zoneOffset(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}${two(size % 60)}`;
}
