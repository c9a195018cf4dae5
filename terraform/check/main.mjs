// Checks the fleet's Terraform without Terraform: `node terraform/check/main.mjs`, from the root of the repository. With
// --write it also brings the tables in README.md up to date.

import { readFileSync, writeFileSync } from "node:fs";
import { join, normalize } from "node:path";

import { load, of } from "./hcl.mjs";
import { calls, complaints as references, exceptions, manners } from "./references.mjs";
import { complaints as schema, has } from "./schema.mjs";
import { written } from "./tables.mjs";

// The module, and those who use it.
const folders = ["terraform", "terraform/examples/small", "terraform/examples/large"];

const modules = new Map();
for (const folder of folders) modules.set(folder, await load(folder));

const called = (call) => modules.get(normalize(join(call.file, "..", call.body.source)));
const outputs = (call) => {
  const target = called(call);
  return target && new Set(of(target, "output").map(({ name }) => name));
};

const found = [];
let checked = 0;
for (const module of modules.values()) {
  checked += of(module, "resource", "data").length;
  found.push(...module.complaints, ...references(module, { outputs, has }), ...calls(module, called));
  found.push(...manners(module), ...exceptions(module), ...schema(module));
}

const readme = "terraform/README.md";
const document = readFileSync(readme, "utf8");
const right = written(document, modules.get("terraform"));
if (right !== document) {
  if (process.argv.includes("--write")) writeFileSync(readme, right);
  else found.push(`${readme}: its tables are not those of the module; run: node terraform/check/main.mjs --write`);
}

for (const complaint of found) console.error(complaint);
console.log(`terraform: ${checked} resources and data sources, ${found.length} complaints`);
process.exitCode = found.length === 0 ? 0 : 1;
