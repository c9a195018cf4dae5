// What an expression names. Not a parser (hcl2json is one): a scanner of text that is known to parse.

const WORD = /[A-Za-z_][A-Za-z0-9_-]*/y;
const SPACE = /\s+/y;
const LITERALS = new Set(["true", "false", "null", "for", "in", "if", "else", "endif", "endfor"]);

// Every reference and every function in a value as hcl2json gives it: { path: [...] } and { call: name }.
export function named(value) {
  const found = [];
  const visit = (part) => {
    if (typeof part === "string") template(part, 0, found, undefined);
    else if (Array.isArray(part)) part.forEach(visit);
    else if (part && typeof part === "object") {
      for (const [key, inner] of Object.entries(part)) {
        visit(key);
        visit(inner);
      }
    }
  };
  visit(value);
  return found;
}

// Scans text with ${...} and %{...} in it, up to `quote` or the end; returns where it ended.
function template(text, at, found, quote) {
  while (at < text.length) {
    if (text[at] === "\\" && quote) at += 2;
    else if (text[at] === quote) return at + 1;
    else if (text.startsWith("$${", at) || text.startsWith("%%{", at)) at += 3;
    else if (text.startsWith("${", at) || text.startsWith("%{", at)) at = expression(text, at + 2, found, "}");
    else at += 1;
  }
  return at;
}

const CLOSES = { "{": "}", "[": "]", "(": ")" };

// Scans an expression up to its closing bracket, which it steps over.
function expression(text, at, found, closing) {
  const own = [];
  while (at < text.length && text[at] !== closing) {
    const space = match(SPACE, text, at);
    if (space) at += space.length;
    else if (text[at] === "#" || text.startsWith("//", at)) at = text.indexOf("\n", at) + 1 || text.length;
    else if (text[at] === '"') at = template(text, at + 1, own, '"');
    else if (CLOSES[text[at]]) at = expression(text, at + 1, own, CLOSES[text[at]]);
    else if (match(WORD, text, at)) at = word(text, at, own);
    else if (/[0-9]/.test(text[at])) at += match(/[0-9.eE]+/y, text, at).length;
    else if (text[at] === ".") at += 1 + (match(WORD, text, at + 1) ?? "").length;
    else at += 1;
  }
  // `for key, value in ...` within these brackets names what only they know.
  const bound = new Set(own.flatMap(({ binds }) => binds ?? []));
  found.push(...own.filter(({ path, binds }) => !binds && !(path && bound.has(path[0]))));
  return at + 1;
}

// Scans a word and what follows it directly.
function word(text, at, found) {
  const name = match(WORD, text, at);
  at += name.length;
  if (name === "for") {
    const [whole, names] = /^\s+([A-Za-z0-9_\s,-]+?)\s+in\b/.exec(text.slice(at)) ?? ["", ""];
    found.push({ binds: names.split(",").map((bound) => bound.trim()) });
    return at + whole.length;
  }
  if (LITERALS.has(name)) return at;
  const next = text.slice(at).trimStart();
  if (text[at] === "(" || text.startsWith("::", at)) {
    found.push({ call: name });
    return at;
  }
  // A key of an object.
  if (/^=(?![=>])/.test(next)) return at;
  const path = [name];
  for (;;) {
    if (text[at] === "." && match(WORD, text, at + 1)) {
      path.push(match(WORD, text, at + 1));
      at += 1 + path.at(-1).length;
    } else if (text.startsWith(".*", at)) {
      at += 2;
    } else if (text[at] === "[") {
      at = expression(text, at + 1, found, "]");
    } else break;
  }
  found.push({ path });
  return at;
}

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}
