//! A plan of `terraform/`: every variable, local and resource evaluated, as far as they are known before Amazon is asked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hcl::eval::{Context, Evaluate as _};
use hcl::expr::{Expression, TraversalOperator};
use hcl::structure::{Block, Body};
use hcl::{Map, Value};
use serde_json::{Value as Json, json};

use crate::infrastructure::functions::{declare, tidy};

/// The account of the stand-ins.
const ACCOUNT: &str = "123456789012";
/// Rounds after which what is not known will not be: the longest chain of references is shorter.
const ROUNDS: usize = 30;

/// A VPC in which endpoints cannot take over names.
pub(super) const NAMELESS_VPC: &str = "vpc-dead";

/// What Amazon would answer, by data source and what that was `given`.
fn looked_up(kind: &str, given: &Value) -> Json {
    match kind {
        "aws_vpc" => {
            let asked = given.as_object().and_then(|given| given["id"].as_str()).unwrap();
            let networks = ["10.0.0.0/16", "100.64.0.0/20"];
            json!({
                "cidr_block_associations": networks.map(|network| json!({ "cidr_block": network })),
                "enable_dns_support": true,
                "enable_dns_hostnames": asked != NAMELESS_VPC,
            })
        }
        "aws_partition" => json!({ "partition": "aws" }),
        "aws_region" => json!({ "region": "us-east-1" }),
        "aws_caller_identity" => json!({ "account_id": ACCOUNT }),
        "aws_prefix_list" => json!({ "id": "pl-0" }),
        "aws_lb_listener" => {
            json!({ "load_balancer_arn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/site/0" })
        }
        "aws_lb" => json!({ "arn_suffix": "app/site/0", "idle_timeout": 60 }),
        other => panic!("plan.rs does not know what {other} answers"),
    }
}

/// What a resource has besides what it was given, once it exists.
fn computed(kind: &str, name: &str, given: &Value) -> Json {
    let named = given.as_object().and_then(|given| given.get("name").or_else(|| given.get("bucket")));
    let named = named.and_then(Value::as_str).unwrap_or(name);
    json!({
        "id": format!("{kind}.{name}"),
        "arn": format!("arn:aws:stand-in:us-east-1:{ACCOUNT}:{kind}/{named}"),
        "arn_suffix": format!("{kind}/{named}"),
        "url": format!("https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{named}"),
        "latest_version": 1,
    })
}

/// The evaluated module.
#[derive(Debug)]
pub(super) struct Plan {
    /// Every instance of every resource, by `type.name`, in order.
    pub(super) resources: BTreeMap<String, Vec<Json>>,
    /// Every local.
    pub(super) locals: BTreeMap<String, Json>,
    /// Every output.
    pub(super) outputs: BTreeMap<String, Json>,
    /// What validations and preconditions refuse.
    pub(super) refusals: Vec<String>,
}

/// The folder of the module.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform")
}

/// The module's own top-level blocks, read once.
fn own() -> &'static [Block] {
    static OWN: LazyLock<Vec<Block>> = LazyLock::new(|| blocks(&folder(), "tf"));
    &OWN
}

/// Every top-level block of a folder's files that `end` so.
fn blocks(folder: &Path, end: &str) -> Vec<Block> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == end));
    files.sort();
    assert!(!files.is_empty(), "{} has no .{end} files", folder.display());
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let body: Body = hcl::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        body.into_blocks().collect::<Vec<_>>()
    };
    files.iter().flat_map(read).collect()
}

fn attribute<'a>(body: &'a Body, name: &str) -> Option<&'a Expression> {
    body.attributes().find(|attribute| attribute.key() == name).map(hcl::Attribute::expr)
}

fn label(block: &Block, at: usize) -> &str {
    block.labels()[at].as_str()
}

/// The inputs that a small fleet must be given, and no other.
pub(super) fn least() -> Json {
    json!({
        "vpc_id": "vpc-0",
        "subnet_ids": ["subnet-0", "subnet-1"],
        "route_table_ids": ["rtb-0"],
        "listener_arn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/site/0/0",
        "balancer_security_group_id": "sg-0",
        "image_id": "ami-0",
        "events_url": "wss://events.example.com/prod",
        "existing_target_group_arn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/today/0",
    })
}

/// The least, with these over it.
pub(super) fn with(over: &Json) -> Json {
    let mut inputs = least();
    for (name, value) in over.as_object().unwrap() {
        inputs[name] = value.clone();
    }
    inputs
}

/// What an example gives to the module.
pub(super) fn example(name: &str) -> Json {
    let blocks = blocks(&folder().join("examples").join(name), "tf");
    let mut context = Context::new();
    let defaults = blocks.iter().filter(|block| block.identifier() == "variable").map(|block| {
        let default = attribute(block.body(), "default").unwrap();
        (label(block, 0).to_owned(), default.evaluate(&Context::new()).unwrap())
    });
    context.declare_var("var", defaults.collect::<Map<_, _>>());
    let module = blocks.iter().find(|block| block.identifier() == "module").unwrap();
    let inputs = module.body().attributes().filter(|attribute| attribute.key() != "source");
    let inputs = inputs.map(|input| (input.key().to_owned(), input.expr().evaluate(&context).unwrap()));
    serde_json::to_value(Value::Object(inputs.collect())).unwrap()
}

/// Fills in what a type says is optional, at any depth.
fn conform(value: Value, kind: &Expression) -> Value {
    let Expression::FuncCall(call) = kind else { return value };
    let inner = call.args.first();
    match (call.name.name.as_str(), value, inner) {
        ("optional", Value::Null, _) => {
            let default = call.args.get(1).map(|default| default.evaluate(&Context::new()).unwrap());
            default.unwrap_or(Value::Null)
        }
        ("optional", value, Some(inner)) => conform(value, inner),
        ("list" | "set", Value::Array(list), Some(inner)) => {
            list.into_iter().map(|item| conform(item, inner)).collect()
        }
        ("map", Value::Object(map), Some(inner)) => {
            map.into_iter().map(|(key, item)| (key, conform(item, inner))).collect()
        }
        ("object", Value::Object(mut given), Some(Expression::Object(members))) => members
            .iter()
            .map(|(key, kind)| {
                let key = key.to_string();
                let value = given.swap_remove(&key).unwrap_or(Value::Null);
                (key, conform(value, kind))
            })
            .collect(),
        (_, value, _) => value,
    }
}

struct Planner {
    blocks: &'static [Block],
    /// What each root name stands for so far: `var`, `local`, `data`, and each resource type.
    known: Map<String, Value>,
    refusals: Vec<String>,
}

impl Planner {
    fn context(&self) -> Context<'static> {
        let mut context = Context::new();
        declare(&mut context);
        for (root, value) in &self.known {
            context.declare_var(root.as_str(), value.clone());
        }
        context
    }

    fn of(&self, kind: &str) -> Vec<&'static Block> {
        self.blocks.iter().filter(|block| block.identifier() == kind).collect()
    }

    fn learn(&mut self, path: &[&str], value: Value) {
        let mut place = self.known.entry(path[0].to_owned()).or_insert_with(|| Value::Object(Map::new()));
        for step in &path[1..] {
            let map = place.as_object_mut().unwrap();
            place = map.entry((*step).to_owned()).or_insert_with(|| Value::Object(Map::new()));
        }
        *place = tidy(value);
    }

    fn variables(&mut self, inputs: &Json) {
        for block in self.of("variable") {
            let name = label(block, 0);
            let given = inputs.get(name).map(|given| hcl::to_value(given).unwrap());
            let default =
                attribute(block.body(), "default").map(|default| default.evaluate(&Context::new()).unwrap());
            let value = given.or(default).unwrap_or_else(|| panic!("variable {name} is not given"));
            let kind = attribute(block.body(), "type").unwrap_or_else(|| panic!("{name} has no type"));
            self.learn(&["var", name], conform(value, kind));
        }
        let declared = self.of("variable");
        for name in inputs.as_object().unwrap().keys() {
            assert!(declared.iter().any(|block| label(block, 0) == name), "there is no variable {name}");
        }
        let context = self.context();
        for block in declared {
            let name = label(block, 0);
            let refused = broken(block.body(), "validation", &context, &format!("var.{name}"));
            self.refusals.extend(refused.unwrap_or_else(|error| panic!("{error}")));
        }
    }

    /// One round: what can be evaluated is learned; what cannot is returned, with the reason.
    fn round(&mut self, waiting: Vec<&'static Block>) -> Vec<(&'static Block, String)> {
        let mut left = Vec::new();
        let context = self.context();
        for block in waiting {
            let learned = match block.identifier() {
                "locals" => self.local(block, &context),
                "data" => self.instances(block, &context, &["data", label(block, 0), label(block, 1)]),
                "resource" => self.instances(block, &context, &[label(block, 0), label(block, 1)]),
                _ => Ok(()),
            };
            if let Err(reason) = learned {
                left.push((block, reason));
            }
        }
        left
    }

    fn local(&mut self, block: &Block, context: &Context<'_>) -> Result<(), String> {
        let known = |planner: &Self, name: &str| {
            planner
                .known
                .get("local")
                .and_then(Value::as_object)
                .is_some_and(|known| known.contains_key(name))
        };
        let mut failed = Ok(());
        for attribute in block.body().attributes() {
            if known(self, attribute.key()) {
                continue;
            }
            match attribute.expr().evaluate(context) {
                Ok(value) => self.learn(&["local", attribute.key()], value),
                Err(error) => failed = Err(format!("local.{}: {error}", attribute.key())),
            }
        }
        failed
    }

    /// A resource or data source: one, or as many as `count` or `for_each` say.
    fn instances(&mut self, block: &Block, context: &Context<'_>, path: &[&str]) -> Result<(), String> {
        let (kind, name) = (label(block, 0), label(block, 1));
        let refused = RefCell::new(Vec::new());
        let one = |context: &Context<'_>| -> Result<Value, String> {
            // Before the arguments, as Terraform does: what is refused may not be possible at all.
            let lifecycle = block.body().blocks().filter(|block| block.identifier() == "lifecycle");
            for lifecycle in lifecycle {
                refused.borrow_mut().extend(broken(
                    lifecycle.body(),
                    "precondition",
                    context,
                    &path.join("."),
                )?);
            }
            if !refused.borrow().is_empty() {
                return Ok(Value::Null);
            }
            let given =
                evaluated(block.body(), context).map_err(|error| format!("{}: {error}", path.join(".")))?;
            let more = if path[0] == "data" { looked_up(kind, &given) } else { computed(kind, name, &given) };
            let Value::Object(mut all) = hcl::to_value(more).unwrap() else { unreachable!("an object") };
            let Value::Object(given) = given else { unreachable!("an object") };
            all.extend(given);
            Ok(Value::Object(all))
        };
        let asked = |name| attribute(block.body(), name).map(|expression| expression.evaluate(context));
        let error = |error: hcl::eval::Error| format!("{}: {error}", path.join("."));
        let value = if let Some(count) = asked("count") {
            let count = tidy(count.map_err(error)?).as_u64().unwrap();
            let instance = |index| one(&within(context, "count", json!({ "index": index })));
            (0..count).map(instance).collect::<Result<Vec<_>, _>>()?.into()
        } else if let Some(each) = asked("for_each") {
            let pairs = match each.map_err(error)? {
                Value::Array(list) => {
                    list.into_iter().map(|item| (item.as_str().unwrap().to_owned(), item)).collect()
                }
                Value::Object(map) => map,
                other => return Err(format!("{}: for_each = {other}", path.join("."))),
            };
            let instance = |(key, value): (String, Value)| {
                let each = json!({ "key": key, "value": value });
                one(&within(context, "each", each)).map(|instance| (key, instance))
            };
            Value::Object(pairs.into_iter().map(instance).collect::<Result<_, _>>()?)
        } else {
            one(context)?
        };
        self.learn(path, value);
        self.refusals.extend(refused.into_inner());
        Ok(())
    }
}

/// Conditions that do not hold, each with its message; an error if that is not known yet.
fn broken(body: &Body, kind: &str, context: &Context<'_>, what: &str) -> Result<Vec<String>, String> {
    let mut messages = Vec::new();
    for rule in body.blocks().filter(|block| block.identifier() == kind) {
        let evaluate = |name| {
            let expression = attribute(rule.body(), name).unwrap();
            expression.evaluate(context).map_err(|error| format!("{what}: {error}"))
        };
        if evaluate("condition")?.as_bool() != Some(true) {
            messages.push(format!("{what}: {}", evaluate("error_message")?));
        }
    }
    Ok(messages)
}

/// A context that knows one name more.
fn within<'a>(context: &'a Context<'a>, name: &str, value: Json) -> Context<'a> {
    let mut inner = context.clone();
    inner.declare_var(name, tidy(hcl::to_value(value).unwrap()));
    inner
}

/// The arguments that are Terraform's own.
const META: [&str; 5] = ["count", "for_each", "depends_on", "provider", "lifecycle"];

/// A body's attributes as values, its blocks as lists, its dynamic blocks spelled out.
fn evaluated(body: &Body, context: &Context<'_>) -> Result<Value, hcl::eval::Error> {
    let mut all = Map::new();
    for attribute in body.attributes().filter(|attribute| !META.contains(&attribute.key())) {
        let value = attribute.expr().evaluate(context)?;
        if !value.is_null() {
            all.insert(attribute.key().to_owned(), value);
        }
    }
    for block in body.blocks().filter(|block| !META.contains(&block.identifier())) {
        let (name, found) = if block.identifier() == "dynamic" {
            (label(block, 0), spelled_out(block, context)?)
        } else {
            (block.identifier(), vec![evaluated(block.body(), context)?])
        };
        if found.is_empty() {
            continue;
        }
        let list = all.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().unwrap().extend(found);
    }
    Ok(Value::Object(all))
}

fn spelled_out(block: &Block, context: &Context<'_>) -> Result<Vec<Value>, hcl::eval::Error> {
    let each = attribute(block.body(), "for_each").unwrap().evaluate(context)?;
    let pairs: Vec<(Value, Value)> = match each {
        Value::Array(list) => list.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, item)| (key.into(), item)).collect(),
        // Terraform would refuse it; the attributes that are looked for are then not there.
        _ => Vec::new(),
    };
    let pattern = block.body().blocks().find(|block| block.identifier() == "content").unwrap();
    let instance = |(key, value)| {
        let inner = within(context, label(block, 0), json!({ "key": key, "value": value }));
        evaluated(pattern.body(), &inner)
    };
    pairs.into_iter().map(instance).collect()
}

impl Plan {
    /// The plan with these inputs.
    pub(super) fn of(inputs: &Json) -> Self {
        let mut planner = Planner { blocks: own(), known: Map::new(), refusals: Vec::new() };
        planner.variables(inputs);
        let is_named = |block: &&Block| ["locals", "data", "resource"].contains(&block.identifier());
        let mut waiting: Vec<&Block> = planner.blocks.iter().filter(is_named).collect();
        let mut reasons = Vec::new();
        for _ in 0..ROUNDS {
            if waiting.is_empty() || !planner.refusals.is_empty() {
                break;
            }
            (waiting, reasons) = planner.round(waiting).into_iter().unzip();
        }
        assert!(waiting.is_empty() || !planner.refusals.is_empty(), "{}", reasons.join("\n"));
        planner.finish()
    }

    /// Every instance of a resource.
    pub(super) fn all(&self, address: &str) -> &[Json] {
        self.resources.get(address).map_or(&[], Vec::as_slice)
    }

    /// The one instance of a resource.
    pub(super) fn one(&self, address: &str) -> &Json {
        let all = self.all(address);
        assert_eq!(all.len(), 1, "{address} is there {} times", all.len());
        &all[0]
    }
}

impl Planner {
    fn finish(self) -> Plan {
        let json = |value: &Value| serde_json::to_value(value).unwrap();
        let mut resources = BTreeMap::new();
        for block in self.of("resource") {
            let (kind, name) = (label(block, 0), label(block, 1));
            let known = self.known.get(kind).and_then(|kind| kind.as_object()?.get(name));
            let is_many = ["count", "for_each"].iter().any(|meta| attribute(block.body(), meta).is_some());
            let instances = match known {
                Some(Value::Array(list)) => list.iter().map(json).collect(),
                Some(Value::Object(map)) if is_many => map.values().map(json).collect(),
                Some(one) => vec![json(one)],
                None => Vec::new(),
            };
            resources.insert(format!("{kind}.{name}"), instances);
        }
        let context = self.context();
        let outputs = self.of("output").into_iter().filter(|_| self.refusals.is_empty()).map(|block| {
            let value = attribute(block.body(), "value").unwrap().evaluate(&context);
            let name = label(block, 0).to_owned();
            let value = value.unwrap_or_else(|error| panic!("output.{name}: {error}"));
            (name, json(&value))
        });
        let outputs = outputs.collect();
        let locals = self.known.get("local").and_then(Value::as_object);
        let locals = locals.into_iter().flatten().map(|(name, value)| (name.clone(), json(value))).collect();
        Plan { resources, locals, outputs, refusals: self.refusals }
    }
}

/// The default of a variable, as written.
pub(super) fn default(name: &str) -> Json {
    default_among(own(), name)
}

/// The default of a variable of packer's.
pub(super) fn packers_default(name: &str) -> Json {
    default_among(&blocks(&folder().join("../packer"), "hcl"), name)
}

fn default_among(blocks: &[Block], name: &str) -> Json {
    let mut named = blocks.iter().filter(|block| block.identifier() == "variable" && label(block, 0) == name);
    let block = named.next().unwrap_or_else(|| panic!("there is no variable {name}"));
    let value = attribute(block.body(), "default").map(|default| default.evaluate(&Context::new()).unwrap());
    serde_json::to_value(value.map(tidy)).unwrap()
}

#[test]
fn both_examples_and_the_least_make_a_plan() {
    for inputs in [least(), example("small"), example("large")] {
        let plan = Plan::of(&inputs);
        assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
        assert!(plan.resources.len() > 50 && plan.locals.len() > 30 && plan.outputs.len() > 10);
        let empty: Vec<_> = plan.outputs.iter().filter(|(_, value)| value.is_null()).collect();
        assert!(empty.is_empty(), "{empty:?}");
    }
}

#[test]
fn the_parser_keeps_what_terraform_means() {
    // An index by a variable is part of the path, and a splat too: the planner relies on both.
    let body: Body = hcl::parse("a = aws_x.y[count.index].z\nb = aws_x.y[*].z\n").unwrap();
    let steps = |name| match attribute(&body, name).unwrap() {
        Expression::Traversal(traversal) => traversal.operators.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((steps("a"), steps("b")), (3, 3));
    let is_splat = |operator: &TraversalOperator| matches!(operator, TraversalOperator::FullSplat);
    let Expression::Traversal(splat) = attribute(&body, "b").unwrap() else { panic!("no path") };
    assert!(splat.operators.iter().any(is_splat));
}
