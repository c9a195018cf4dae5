// Dangling references, what nobody uses, and functions that do not exist.

import { address, of } from "./hcl.mjs";
import { named } from "./expressions.mjs";

// Of Terraform 1.9.
const FUNCTIONS = new Set(
  `abs abspath alltrue anytrue base64decode base64encode base64gzip base64sha256 base64sha512 basename bcrypt can ceil
  chomp chunklist cidrhost cidrnetmask cidrsubnet cidrsubnets coalesce coalescelist compact concat contains csvdecode
  dirname distinct element endswith file filebase64 filebase64sha256 filebase64sha512 fileexists filemd5 fileset
  filesha1 filesha256 filesha512 flatten floor format formatdate formatlist indent index issensitive join jsondecode
  jsonencode keys length list log lookup lower map matchkeys max md5 merge min nonsensitive one parseint pathexpand
  plantimestamp pow range regex regexall replace reverse rsadecrypt sensitive setintersection setproduct setsubtract
  setunion sha1 sha256 sha512 signum slice sort split startswith strcontains strrev substr sum templatefile
  templatestring textdecodebase64 textencodebase64 timeadd timecmp timestamp title tobool tolist tomap tonumber toset
  tostring transpose trim trimprefix trimspace trimsuffix try type upper urlencode uuid uuidv5 values yamldecode
  yamlencode zipmap`.split(/\s+/),
);

const ALWAYS = new Set(["each", "count", "self", "path", "terraform"]);

// The labels of a body's dynamic blocks, which are names within it; or the iterators that replace them.
function iterators(body) {
  if (Array.isArray(body)) return body.flatMap(iterators);
  if (!body || typeof body !== "object") return [];
  const own = Object.entries(body.dynamic ?? {}).flatMap(([label, blocks]) =>
    blocks.map((block) => block.iterator?.replace(/[${}]/g, "") ?? label),
  );
  return own.concat(Object.values(body).flatMap(iterators));
}

// A body without what names its own attributes instead of things.
function meant(body) {
  const own = (lifecycle) => ({ ...lifecycle, ignore_changes: undefined });
  return Array.isArray(body?.lifecycle) ? { ...body, lifecycle: body.lifecycle.map(own) } : body;
}

// `outputs` says, for a called module, what it gives; `has` says whether a type has an attribute.
export function complaints(module, { outputs = () => undefined, has = () => true } = {}) {
  const found = [];
  const used = new Set();
  const edges = new Map();
  const declared = new Map(module.declared.map((one) => [address(one), one]));
  const all = [...module.declared, ...module.rest.map(({ body, file }) => ({ kind: "rest", name: "", body, file }))];
  for (const one of all) {
    const complain = (what) => found.push(`${one.file}: ${one.kind === "rest" ? "terraform" : address(one)}: ${what}`);
    const inner = new Set(iterators(one.body));
    for (const { call, path } of named(one.kind === "variable" ? { ...one.body, type: "" } : meant(one.body))) {
      if (call !== undefined) {
        if (!FUNCTIONS.has(call)) complain(`there is no function ${call}`);
        continue;
      }
      const [root, second, third] = path;
      if (ALWAYS.has(root) || inner.has(root)) continue;
      let target;
      let attribute;
      if (root === "var" || root === "local" || root === "module") {
        [target, attribute] = [`${root}.${second}`, third];
      } else if (root === "data") {
        [target, attribute] = [`data.${second}.${third}`, path[3]];
      } else if (/^[a-z]+_/.test(root)) {
        [target, attribute] = [`${root}.${second}`, third];
      } else {
        complain(`${path.join(".")} names nothing`);
        continue;
      }
      const to = declared.get(target);
      if (!to) {
        complain(`${target} is not declared`);
        continue;
      }
      // What a thing says of itself is no use of it: a validation of a variable, for instance.
      if (to !== one) used.add(target);
      if (to !== one && one.kind !== "rest") edges.set(address(one), (edges.get(address(one)) ?? new Set()).add(target));
      if (to.kind === "module") {
        const given = outputs(to);
        if (attribute && given && !given.has(attribute)) complain(`${target} has no output ${attribute}`);
      } else if (["resource", "data"].includes(to.kind) && attribute && !has(to, attribute)) {
        complain(`${target} has no attribute ${attribute}`);
      }
    }
  }
  for (const one of of(module, "variable", "local", "data")) {
    if (!used.has(address(one))) found.push(`${one.file}: ${address(one)} is declared and never used`);
  }
  const ring = circle(edges);
  if (ring) found.push(`${module.folder}: ${ring.join(" needs ")}`);
  return found;
}

// A way from something back to itself, if there is one: Terraform could not begin.
function circle(edges) {
  const done = new Set();
  const visit = (name, way) => {
    if (way.includes(name)) return [...way.slice(way.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const next of edges.get(name) ?? []) {
      const found = visit(next, [...way, name]);
      if (found) return found;
    }
    done.add(name);
    return undefined;
  };
  return [...edges.keys()].map((name) => visit(name, [])).find(Boolean);
}

// A module's calls: every input that must be given is, and none that there is not.
export function calls(module, called) {
  const found = [];
  for (const call of of(module, "module")) {
    const target = called(call);
    if (!target) {
      found.push(`${call.file}: ${address(call)}: ${call.body.source} is no folder of modules`);
      continue;
    }
    const inputs = new Map(of(target, "variable").map((one) => [one.name, one.body]));
    const given = Object.keys(call.body).filter((name) => !["source", "version", "providers", "count", "for_each", "depends_on"].includes(name));
    for (const name of given) {
      if (!inputs.has(name)) found.push(`${call.file}: ${address(call)}: there is no variable ${name}`);
    }
    for (const [name, body] of inputs) {
      if (!("default" in body) && !given.includes(name)) found.push(`${call.file}: ${address(call)}: ${name} is missing`);
    }
  }
  return found;
}

// What a stranger is told: every variable its type and what it is for, every check what to write instead.
export function manners(module) {
  const found = [];
  for (const one of of(module, "variable", "output")) {
    const complain = (what) => found.push(`${one.file}: ${address(one)}: ${what}`);
    if (!/\.$/.test(one.body.description ?? "")) complain("has no description that is a sentence");
    if (one.kind === "variable" && !one.body.type) complain("has no type");
    for (const rule of one.body.validation ?? []) {
      if (!rule.condition || !/\.$/.test(rule.error_message ?? "")) complain("a validation lacks a condition, or a sentence that says what to write");
    }
  }
  return found;
}

// Exceptions from checkov's rules that do not say why, in at least four words.
export function exceptions(module) {
  return Object.entries(module.texts).flatMap(([file, text]) =>
    [...text.matchAll(/checkov:skip=(\w+)(?::(.*))?/g)]
      .filter(([, , reason = ""]) => reason.trim().split(/\s+/).length < 4)
      .map(([, rule]) => `${file}: ${rule} is skipped without a reason`),
  );
}
