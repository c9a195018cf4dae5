//! Terraform's functions, as far as `terraform/` uses them.

use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};
use hcl::{Map, Number, Value};
use regex::Regex;

type Answer = Result<Value, String>;

/// Makes the functions known. One that is missing here makes the plan fail by its name.
pub(super) fn declare(context: &mut Context<'_>) {
    let functions: [(&str, hcl::eval::Func); 27] = [
        ("alltrue", |args| Ok(items(&args)?.iter().all(is_true).into())),
        ("anytrue", |args| Ok(items(&args)?.iter().any(is_true).into())),
        // Left as it is: the tests want to read it.
        ("base64encode", |args| Ok(args[0].clone())),
        // Of a regex that does not match, which is null here; whatever else fails, fails the plan.
        ("can", |args| Ok((!args[0].is_null()).into())),
        ("ceil", |args| Ok(whole(number(&args[0])?.ceil()))),
        ("chunklist", chunklist),
        ("cidrhost", |args| Ok(cidrhost(&args[0]))),
        ("coalesce", |args| {
            let found = args.iter().find(|value| !value.is_null() && value.as_str() != Some(""));
            found.cloned().ok_or_else(|| "there is nothing but null".to_owned())
        }),
        ("concat", |args| {
            let lists: Option<Vec<_>> = args.iter().map(Value::as_array).collect();
            Ok(lists.ok_or("not all are lists")?.into_iter().flatten().cloned().collect())
        }),
        ("contains", |args| Ok(items(&args)?.contains(&args[1]).into())),
        ("distinct", |args| Ok(distinct(items(&args)?).into())),
        ("endswith", |args| Ok(text(&args[0])?.ends_with(text(&args[1])?).into())),
        ("flatten", |args| Ok(flat(&args[0]).into())),
        ("floor", |args| Ok(whole(number(&args[0])?.floor()))),
        ("join", |args| {
            let parts: Vec<_> = args[1].as_array().ok_or("no list")?.iter().map(shown).collect();
            Ok(parts.join(text(&args[0])?).into())
        }),
        ("jsonencode", |args| serde_json::to_string(&args[0]).map(Value::from).map_err(|e| e.to_string())),
        ("keys", |args| {
            let keys = args[0].as_object().ok_or("no map")?.keys();
            Ok(keys.map(|key| Value::from(key.as_str())).collect())
        }),
        ("length", |args| match &args[0] {
            Value::Array(list) => Ok(list.len().into()),
            Value::Object(map) => Ok(map.len().into()),
            Value::String(text) => Ok(text.chars().count().into()),
            other => Err(format!("{other} has no length")),
        }),
        ("lower", |args| Ok(text(&args[0])?.to_lowercase().into())),
        ("merge", merge),
        ("regex", |args| {
            let pattern = Regex::new(text(&args[0])?).map_err(|error| error.to_string())?;
            // What is no text matches nothing.
            let found = args[1].as_str().and_then(|text| pattern.find(text));
            Ok(found.map_or(Value::Null, |found| found.as_str().into()))
        }),
        ("replace", |args| Ok(text(&args[0])?.replace(text(&args[1])?, text(&args[2])?).into())),
        ("startswith", |args| Ok(text(&args[0])?.starts_with(text(&args[1])?).into())),
        ("tolist", |args| Ok(items(&args)?.clone().into())),
        ("toset", |args| Ok(distinct(items(&args)?).into())),
        ("tostring", |args| Ok(shown(&args[0]).into())),
        ("upper", |args| Ok(text(&args[0])?.to_uppercase().into())),
    ];
    for (name, function) in functions {
        context.declare_func(name, FuncDef::builder().variadic_param(ParamType::Any).build(function));
    }
}

fn items(args: &FuncArgs) -> Result<&Vec<Value>, String> {
    args[0].as_array().ok_or_else(|| format!("{} is no list", args[0]))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is no text"))
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{value} is no number"))
}

/// A number without a fraction prints without one.
#[expect(clippy::cast_possible_truncation, reason = "counts of a few")]
fn whole(number: f64) -> Value {
    Value::from(number as i64)
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn flat(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(flat).collect(),
        other => vec![other.clone()],
    }
}

fn distinct(values: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for value in values {
        if !kept.contains(value) {
            kept.push(value.clone());
        }
    }
    kept
}

#[expect(clippy::needless_pass_by_value, reason = "the evaluator calls it so")]
fn chunklist(args: FuncArgs) -> Answer {
    let size = args[1].as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
    let chunks = items(&args)?.chunks(size.ok_or("no size")?);
    Ok(chunks.map(|chunk| Value::from(chunk.to_vec())).collect())
}

/// Only the first address of a network: the tests ask whether it is one.
fn cidrhost(network: &Value) -> Value {
    let network = network.as_str().and_then(|text| text.split_once('/'));
    let valid = network.is_some_and(|(address, bits)| {
        address.parse::<std::net::Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32)
    });
    network.filter(|_| valid).map_or(Value::Null, |(address, _)| address.into())
}

#[expect(clippy::needless_pass_by_value, reason = "the evaluator calls it so")]
fn merge(args: FuncArgs) -> Answer {
    let mut all = Map::new();
    for map in args.iter() {
        all.extend(map.as_object().ok_or_else(|| format!("{map} is no map"))?.clone());
    }
    Ok(Value::Object(all))
}

/// Numbers that happen to be whole, as Terraform prints them: 20 / 2 is 10.
pub(super) fn tidy(value: Value) -> Value {
    match value {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => Number::from(float as i64).into(),
            _ => Value::Number(number),
        },
        Value::Array(list) => list.into_iter().map(tidy).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, tidy(value))).collect(),
        other => other,
    }
}
