// Resources and data sources against the provider's published typings: what there is, what must be, and of what kind.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { address, of, packages } from "./hcl.mjs";

const META = new Set(["count", "for_each", "provider", "depends_on", "lifecycle", "connection", "provisioner"]);
const typings = join(packages, "node_modules/@cdktf/provider-aws/lib");

const cache = new Map();

// The shape of a type: its interfaces, the name of the outermost, and every attribute that can be read.
export function shape(kind, type) {
  const folder = (kind === "data" ? "data-" : "") + (kind === "data" ? type : type.replace(/^aws_/, "")).replaceAll("_", "-");
  if (!cache.has(folder)) cache.set(folder, read(join(typings, folder, "index.d.ts")));
  return cache.get(folder);
}

function read(file) {
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, "utf8");
  const interfaces = new Map();
  let top;
  for (const [, name, parent, body] of text.matchAll(/^export interface (\w+)( extends [\w.]+)? \{\n([\s\S]*?)^\}/gm)) {
    const members = new Map();
    // The comment above a member links to its true name.
    for (const [, link, optional, is] of body.matchAll(/#(\w+)\}\n[\s\S]*?readonly \w+(\??): ([\s\S]*?);\n(?=\s*(?:\/\*\*|$))/g)) {
      members.set(link, { required: optional === "", is: is.replace(/ \| cdktf\.IResolvable/g, "").trim() });
    }
    interfaces.set(name, members);
    if (parent) top = name;
  }
  const readable = new Set([...text.matchAll(/^    get (\w+)\(\)/gm)].map(([, name]) => name));
  return { interfaces, top, readable };
}

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());

// Whether a type has an attribute that can be read.
export function has({ kind, type }, attribute) {
  const known = shape(kind, type);
  if (!known) return true;
  return known.readable.has(camel(attribute)) || known.interfaces.get(known.top).has(attribute);
}

const isExpression = (value) => typeof value === "string" && /[$%]\{/.test(value);

// Whether a literal cannot be what the typings say. An expression can be anything.
function misfit(value, is) {
  if (isExpression(value) || value === null) return false;
  switch (is) {
    case "string":
      return typeof value === "object";
    case "number":
      return typeof value !== "number" && !/^-?[0-9.]+$/.test(value);
    case "boolean":
      return typeof value !== "boolean" && !["true", "false"].includes(value);
    case "string[]":
      return !Array.isArray(value);
    case "number[]":
      return !Array.isArray(value) || value.some((item) => misfit(item, "number"));
    default:
      return is.startsWith("{") && (typeof value !== "object" || Array.isArray(value));
  }
}

function body(known, members, given, text, complain, path) {
  const dynamic = given.dynamic ?? {};
  const there = new Set([...Object.keys(given), ...Object.keys(dynamic)]);
  for (const [name, { required }] of members) {
    if (required && !there.has(name)) complain(`${path}${name} is missing`);
  }
  for (const [label, blocks] of Object.entries(dynamic)) {
    for (const block of blocks) {
      if (!("for_each" in block)) complain(`${path}${label}: a dynamic block without for_each`);
      const contents = block.content ?? [];
      if (contents.length !== 1) complain(`${path}${label}: a dynamic block without content`);
      member(known, members, label, contents, text, complain, path);
    }
  }
  for (const [name, value] of Object.entries(given)) {
    if (name === "dynamic" || (path === "" && META.has(name))) continue;
    member(known, members, name, value, text, complain, path);
  }
}

function member(known, members, name, value, text, complain, path) {
  const meant = members.get(name);
  if (!meant) return complain(`there is no ${path}${name}`);
  const block = known.interfaces.get(meant.is.replace(/\[\]$/, ""));
  if (!block) {
    if (misfit(value, meant.is)) complain(`${path}${name} is no ${meant.is}: ${JSON.stringify(value)}`);
    return undefined;
  }
  if (!Array.isArray(value) || new RegExp(`^\\s*${name}\\s+=`, "m").test(text)) {
    return complain(`${path}${name} is a block, not an attribute`);
  }
  if (!meant.is.endsWith("[]") && value.length > 1) complain(`${path}${name} is there ${value.length} times`);
  for (const inner of value) body(known, block, inner, text, complain, `${path}${name}.`);
  return undefined;
}

// The text of a declaration, from its first line to the brace that closes it, without what is Terraform's own in it.
function source({ kind, type, name }, text) {
  const start = text.indexOf(`${kind} "${type}" "${name}"`);
  return text.slice(start, text.indexOf("\n}", start)).replace(/^  lifecycle \{[\s\S]*?^  \}/m, "");
}

export function complaints(module) {
  const found = [];
  for (const one of of(module, "resource", "data")) {
    const complain = (what) => found.push(`${one.file}: ${address(one)}: ${what}`);
    const known = shape(one.kind, one.type);
    if (!known) complain(`the provider has no such ${one.kind === "data" ? "data source" : "resource"}`);
    else body(known, known.interfaces.get(known.top), one.body, source(one, module.texts[one.file]), complain, "");
  }
  return found;
}
