// Reads a folder of Terraform files into one module, with HashiCorp's own parser.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

// Where .ci/infrastructure has put the packages.
export const packages = resolve(process.env.INFRASTRUCTURE_PACKAGES ?? "target/infrastructure");

const { parse } = createRequire(join(packages, "from-here.js"))("@cdktf/hcl2json");

// One thing that a module declares: `kind` is resource, data, variable, output, module or local.
function* declarations(file, tree) {
  for (const kind of ["resource", "data"]) {
    for (const [type, named] of Object.entries(tree[kind] ?? {})) {
      for (const [name, bodies] of Object.entries(named)) {
        for (const body of bodies) yield { kind, type, name, body, file };
      }
    }
  }
  for (const kind of ["variable", "output", "module"]) {
    for (const [name, bodies] of Object.entries(tree[kind] ?? {})) {
      for (const body of bodies) yield { kind, name, body, file };
    }
  }
  for (const block of tree.locals ?? []) {
    for (const [name, body] of Object.entries(block)) yield { kind: "local", name, body, file };
  }
}

const KINDS = ["resource", "data", "variable", "output", "module", "locals", "terraform", "provider"];

// The module in a folder: its files' texts, its declarations, and what could not be read.
export async function load(folder, texts = read(folder)) {
  const module = { folder, texts, declared: [], complaints: [], rest: [] };
  for (const [file, text] of Object.entries(texts)) {
    let tree;
    try {
      tree = await parse(file, text);
    } catch (error) {
      module.complaints.push(`${file}: cannot be parsed: ${error.message}`);
      continue;
    }
    for (const kind of Object.keys(tree)) {
      if (!KINDS.includes(kind)) module.complaints.push(`${file}: there is no block called ${kind}`);
    }
    for (const kind of ["terraform", "provider"]) module.rest.push({ kind, body: tree[kind] ?? {}, file });
    module.declared.push(...declarations(file, tree));
  }
  const seen = new Map();
  for (const { kind, type, name, file } of module.declared) {
    const address = [kind, type, name].filter(Boolean).join(".");
    if (seen.has(address)) module.complaints.push(`${file}: ${address} is declared in ${seen.get(address)} too`);
    seen.set(address, file);
  }
  return module;
}

function read(folder) {
  const files = readdirSync(folder).filter((name) => name.endsWith(".tf")).sort();
  return Object.fromEntries(files.map((name) => [join(folder, name), readFileSync(join(folder, name), "utf8")]));
}

// What a declaration is called in complaints.
export function address({ kind, type, name }) {
  const prefix = { resource: "", data: "data.", variable: "var.", output: "output.", module: "module.", local: "local." }[kind];
  return prefix + [type, name].filter(Boolean).join(".");
}

// The declarations of one kind.
export const of = (module, ...kinds) => module.declared.filter(({ kind }) => kinds.includes(kind));
