// The checks find what is planted, each kind of fault by what it says, and nothing in what is right.

import assert from "node:assert/strict";
import test from "node:test";

import { named } from "./expressions.mjs";
import { load } from "./hcl.mjs";
import { calls, complaints as references, exceptions, manners } from "./references.mjs";
import { complaints as schema, has } from "./schema.mjs";
import { written } from "./tables.mjs";

// A module that nothing is wrong with.
const RIGHT = `
variable "waits" {
  description = "How long."
  type        = number
  default     = 60

  validation {
    condition     = var.waits > 0
    error_message = "Write a number above 0."
  }
}

locals {
  names = { for key, value in { a = "x" } : key => upper(value) if value != "" }
}

data "aws_region" "here" {}

resource "aws_sqs_queue" "jobs" {
  for_each = local.names

  name                       = "jobs-\${each.key}-\${data.aws_region.here.region}"
  visibility_timeout_seconds = var.waits
  tags                       = { Name = "x" }

  lifecycle {
    ignore_changes = [tags]
  }
}

resource "aws_lb_target_group" "all" {
  port = 80

  health_check {
    path = "/"
  }
}

resource "aws_launch_template" "one" {
  name = "one"

  dynamic "tag_specifications" {
    for_each = ["volume"]

    content {
      resource_type = tag_specifications.value
    }
  }
}

output "urls" {
  description = "Where they are."
  value       = [for queue in aws_sqs_queue.jobs : queue.url]
}

output "first" {
  description = "The first."
  value       = aws_sqs_queue.jobs["a"].arn
}
`;

async function complaints(text) {
  const module = await load("m", { "m/main.tf": text });
  return [...module.complaints, ...references(module, { has }), ...manners(module), ...schema(module)];
}

test("what is right is left alone", async () => {
  assert.deepEqual(await complaints(RIGHT), []);
});

const FAULTS = [
  ["a brace too few", "locals {", "locals {{", /cannot be parsed/],
  ["a block that Terraform has not", "locals {\n", "local {\n", /no block called local/],
  ["two of a name", 'data "aws_region" "here" {}', 'data "aws_region" "here" {}\ndata "aws_region" "here" {}', /declared in .* too/],
  ["a variable that is not there", "= var.waits\n", "= var.wait\n", /var\.wait is not declared/],
  ["a local that is not there", "= local.names", "= local.name", /local\.name is not declared/],
  ["a resource that is not there", 'aws_sqs_queue.jobs["a"]', 'aws_sqs_queue.job["a"]', /aws_sqs_queue\.job is not declared/],
  ["a data source that is not there", "data.aws_region.here.region}", "data.aws_region.there.region}", /data\.aws_region\.there is not declared/],
  ["an attribute that cannot be read", "jobs[\"a\"].arn", "jobs[\"a\"].uri", /has no attribute uri/],
  ["an attribute of a data source", "here.region}", "here.regoin}", /has no attribute regoin/],
  ["a name from nowhere", "queue.url", "queu.url", /queu\.url names nothing/],
  ["a name outside of its loop", "upper(value) if value != \"\" }", "upper(value) }\n  other = value.x", /value\.x names nothing/],
  ["a block's name outside of it", 'name = "one"', "name = tag_specification.value", /names nothing|not declared/],
  ["a function that is not there", "upper(value)", "uper(value)", /no function uper/],
  ["a variable nobody uses", "= var.waits\n", "= 60\n", /var\.waits is declared and never used/],
  ["a local nobody uses", "local.names", 'toset(["a"])', /local\.names is declared and never used/],
  ["a circle", 'name = "one"', "name = aws_lb_target_group.all.name", /aws_launch_template\.one needs|needs aws_launch_template\.one/, 'port = 80', "port = length(aws_launch_template.one.name)"],
  ["a resource that the provider has not", '"aws_sqs_queue" "jobs"', '"aws_sqs_que" "jobs"', /no such resource/],
  ["a data source that the provider has not", '"aws_region" "here"', '"aws_regions2" "here"', /no such data source/],
  ["an attribute that the provider has not", "visibility_timeout_seconds =", "visibility_timeout =", /there is no visibility_timeout$/],
  ["a nested attribute", '    path = "/"', '    pth = "/"', /there is no health_check\.pth$/],
  ["an attribute within a dynamic block", "resource_type =", "resourcetype =", /there is no tag_specifications\.resourcetype/],
  ["a block that the provider has not", "  health_check {", "  health {", /there is no health$/],
  ["a block written as an attribute", "health_check {", "health_check = {", /is a block, not an attribute/],
  ["a block in a list", 'health_check {\n    path = "/"\n  }', 'health_check = [{ path = "/" }]', /is a block, not an attribute/],
  ["an attribute written as a block", 'tags                       = { Name = "x" }', 'tags {\n    Name = "x"\n  }', /tags is no/],
  ["two blocks where one may be", 'health_check {', 'health_check {}\n  health_check {', /is there 2 times/],
  ["a word for a number", "port = 80", 'port = "http"', /port is no number/],
  ["a list for a text", 'name = "one"', 'name = ["one"]', /name is no string/],
  ["a dynamic block of nothing", 'for_each = ["volume"]\n', "", /without for_each/],
  ["a variable without a type", "  type        = number\n", "", /has no type/],
  ["a variable without a description", '  description = "How long."\n', "", /no description/],
  ["an output without a description", '  description = "The first."\n', "", /no description/],
  ["a validation that does not help", "above 0.", "above 0", /a validation lacks/],
];

for (const [name, from, to, expected, more = "", instead = ""] of FAULTS) {
  test(`found: ${name}`, async () => {
    assert.ok(RIGHT.includes(from) && RIGHT.includes(more), from);
    const found = await complaints(RIGHT.replaceAll(from, () => to).replace(more, () => instead));
    assert.ok(found.some((complaint) => expected.test(complaint)), `${expected} in ${JSON.stringify(found, null, 1)}`);
  });
}

test("found: what must be there and is not", async () => {
  const found = await complaints('resource "aws_autoscaling_policy" "p" {\n  step_adjustment {}\n}\n');
  for (const missing of ["autoscaling_group_name is missing", "name is missing", "step_adjustment.scaling_adjustment is missing"]) {
    assert.ok(found.some((complaint) => complaint.endsWith(`: ${missing}`)), `${missing} in ${found}`);
  }
});

test("found: a call of a module that does not fit", async () => {
  const module = await load("m", { "m/main.tf": 'variable "must" {\n  type = string\n}\nvariable "may" {\n  default = 1\n}\noutput "o" {\n  value = 1\n}' });
  const caller = await load("c", { "c/main.tf": 'module "m" {\n  source = "../m"\n  mey = 1\n}\noutput "p" {\n  value = module.m.q\n}' });
  assert.deepEqual(calls(caller, () => module), ["c/main.tf: module.m: there is no variable mey", "c/main.tf: module.m: must is missing"]);
  assert.deepEqual(references(caller, { outputs: () => new Set(["o"]) }), ["c/main.tf: output.p: module.m has no output q"]);
  assert.deepEqual(calls(caller, () => undefined), ["c/main.tf: module.m: ../m is no folder of modules"]);
});

test("expressions name what they name", () => {
  const names = (text) => named(text).map(({ path, call }) => call ?? path.join("."));
  for (const [text, expected] of [
    ["var.a", []],
    ["${var.a}", ["var.a"]],
    ["$${var.a}", []],
    ["x-${var.a}-${local.b}", ["var.a", "local.b"]],
    ['${"var.a ${var.b} \\" ${"${var.c}"}"}', ["var.b", "var.c"]],
    ["${aws_x.y[var.k].z}", ["var.k", "aws_x.y.z"]],
    ["${aws_x.y[*].z}", ["aws_x.y.z"]],
    ["${[for k, v in var.m : [k, v.x, o.y] if v.z]}", ["var.m", "o.y"]],
    ["${[for v in var.m : v.x]} ${v.x}", ["var.m", "v.x"]],
    ["${{ a = var.b }}", ["var.b"]],
    ["${a.b == c.d ? max(1.5e3, e.f) : null}", ["a.b", "c.d", "max", "e.f"]],
    ["%{ if var.a }x%{ else }y%{ endif }", ["var.a"]],
  ]) {
    assert.deepEqual(names(text).sort(), expected.sort(), text);
  }
});

test("found: an exception without a reason", () => {
  const skips = (comment) => exceptions({ texts: { "a.tf": `x\n  ${comment}\n` } });
  assert.deepEqual(skips("#checkov:skip=CKV_AWS_1:nobody can read it from outside"), []);
  for (const comment of ["#checkov:skip=CKV_AWS_1", "#checkov:skip=CKV_AWS_1:", "#checkov:skip=CKV_AWS_1:no", "# checkov:skip=CKV2_AWS_1"]) {
    assert.deepEqual(skips(comment).length, 1, comment);
  }
});

test("the tables follow the declarations", async () => {
  const module = await load("m", { "m/main.tf": RIGHT });
  const empty = "a\n<!-- inputs -->\n\n<!-- end of inputs -->\nb\n<!-- outputs -->\n\n<!-- end of outputs -->\n";
  const right = written(empty, module);
  assert.match(right, /\| `waits` \| `number` \| `60` \| How long\. \|/);
  assert.match(right, /\| `first` \| The first\. \|/);
  assert.equal(written(right, module), right);
  assert.throws(() => written("nothing", module), /no place/);
});
