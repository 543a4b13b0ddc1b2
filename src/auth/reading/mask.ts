import type { Document, PlacedNode } from "../../text/document.ts";

// Lines of a file of rules are shown with what is wrong with them. Secrets in them are covered, character by character so
// that the caret stays where it was; so are texts under keys that nobody knows, which may be misspelt secrets.

/** The keys of rules and ledgers whose texts are no secrets. */
const OPEN_KEYS: ReadonlySet<string> = new Set(
  `name method from clientId expires note verify_field keyFile jwksFile algorithms audience issuer claims user groups port
  nodeId admin maxConnections messagesPerSecond bytesPerSecond queueBytes group members topic allow deny sub pub maxQos
  retain explainToClients whenRevoked authentication authorization ledger users auth acl username client remote disallow
  filters identity`.split(/\s+/),
);
/** What has objects in it: a text in the place of one may be anything. */
const CONTAINERS: ReadonlySet<string> = new Set([
  "authentication",
  "group",
  "groups",
  "authorization",
  "users",
  "auth",
  "acl",
]);
const SECRET_KEY = /pas|pw|digest|hash|salt|secret|token|key$/i;

/** Is the member of an entry not to be shown? The same for an entry that is written anew, as for a text. */
export function isHidden(key: string, value: unknown): boolean {
  if (OPEN_KEYS.has(key)) return false;
  return SECRET_KEY.test(key) || (typeof value !== "number" && typeof value !== "boolean");
}

/** The document's text with everything covered that is or may be a secret. */
export function maskSecrets({ text, root }: Document): string {
  const ranges: PlacedNode[] = [];
  collect(root, text, false, false, ranges);
  ranges.sort((a, b) => a.start - b.start);
  let masked = "";
  let at = 0;
  for (const { start, end } of ranges) {
    if (start < at) continue;
    masked += text.slice(at, start) + cover(text.slice(start, end));
    at = end;
  }
  return masked + text.slice(at);
}

function collect(
  { children }: PlacedNode,
  text: string,
  isSecret: boolean,
  inContainer: boolean,
  ranges: PlacedNode[],
): void {
  for (const [key, child] of children) {
    const covers = isSecret || (typeof key === "string" && isSecretKey(key));
    const isOpen = typeof key === "number" ? !inContainer : OPEN_KEYS.has(key);
    if (child.children.size > 0) collect(child, text, covers, CONTAINERS.has(String(key)), ranges);
    else if (covers || (!isOpen && isText(text, child))) ranges.push(child);
  }
}

/** Numbers and words of the format are no secrets by themselves; what YAML has without quotes is a text. */
function isText(text: string, { start, end }: PlacedNode): boolean {
  return !/^(?:[-+.\d[{]|true$|false$|null$)/.test(text.slice(start, end));
}

function isSecretKey(key: string): boolean {
  return !OPEN_KEYS.has(key) && SECRET_KEY.test(key);
}

const SECRET_KEYS: ReadonlySet<string> = new Set(["password", "digest", "salt", "hash", "key"]);
/** Texts in quotes, words, and what separates them. A quote without another in its line counts for nothing. */
const TOKEN = /"(?:\\[\s\S]|[^"\\\r\n])*"|'(?:\\[\s\S]|[^'\\\r\n])*'|[^\s{}[\],:="']+|[{}[\],\r\n]/g;
const IS_KEY = /[^\S\r\n]*[:=]/y;

/**
 * The same for a text that cannot be parsed, where nobody knows what belongs together: what stays are keys of rules, and the
 * value, or the list of values, that follows one.
 */
export function maskText(text: string): string {
  let isOpen = false;
  let depth = 0;
  return text.replace(TOKEN, (token, at: number) => {
    if (token === "[") depth++;
    else if (token === "]") depth = Math.max(0, depth - 1);
    else if (token === "{" || token === "}") depth = 0;
    if (/^[{}[\],\r\n]$/.test(token)) {
      isOpen &&= depth > 0;
      return token;
    }
    const word = token.replace(/^["']|["']$/g, "");
    IS_KEY.lastIndex = at + token.length;
    if (SECRET_KEYS.has(word) || (OPEN_KEYS.has(word) && IS_KEY.test(text))) {
      isOpen = !SECRET_KEYS.has(word);
      depth = 0;
      return token;
    }
    // With a quote missing, what stands between texts looks like a text, and the texts do not.
    if (/[:=][^\S\r\n]*$|,\s/.test(word)) isOpen = false;
    const isShown = isOpen || !/[\p{L}\p{N}]/u.test(word);
    if (depth === 0) isOpen = false;
    return isShown ? token : cover(token);
  });
}

/** Quotes stay, and line ends. */
function cover(text: string): string {
  return text.replace(/(?!^["']|["']$)[^\r\n]/g, "*");
}
