//! Files of routes: read whole, with every mistake told, before anything is written.
//!
//! Two forms, with the same names in both: CSV with a line of heads, and a JSON array of objects (or an object with such
//! an array under `rows`, as `routes list --json` prints it). Each entry has `compiler`, may have `environment`, and has
//! one of `queue` and `url`; or it has the names of the table's own attributes.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::domain::ids::CompilerId;
use crate::operate::routes::row::{Target, key};
use crate::operate::routes::validate::{is_environment, wrong_target};

/// Most entries of a file: ten times what all deployments together have.
const MOST_ENTRIES: usize = 50_000;
/// Most mistakes that are told; a file with more is of another kind.
const MOST_MISTAKES: usize = 50;

/// Names that entries may have.
const NAMES: [&str; 10] = [
    "compiler",
    "compilerId",
    "environment",
    "key",
    "lastUpdated",
    "queue",
    "queueName",
    "routingType",
    "targetUrl",
    "url",
];

/// One route of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The row's key.
    pub key: String,
    /// The environment, if it has one.
    pub environment: Option<String>,
    /// Where to.
    pub target: Target,
}

/// One thing wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where: a line of CSV, or an index of a JSON array, from 1.
    pub at: String,
    /// What.
    pub wrong: String,
}

/// Why nothing of a file is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file has {} mistakes, and nothing was written:\n{}", .0.len(), told(.0))]
pub struct ImportError(pub Vec<Mistake>);

fn told(mistakes: &[Mistake]) -> String {
    let lines = mistakes.iter().take(MOST_MISTAKES);
    let mut lines: Vec<String> =
        lines.map(|mistake| format!("  {}: {}", mistake.at, mistake.wrong)).collect();
    if mistakes.len() > MOST_MISTAKES {
        lines.push(format!("  and {} more", mistakes.len() - MOST_MISTAKES));
    }
    lines.join("\n")
}

/// The members of one entry, by name.
type Members = BTreeMap<String, String>;

/// Reads CSV: RFC 4180, with a line of heads. Entries without an environment get `environment`.
pub fn read_csv(bytes: &[u8], environment: Option<&str>) -> Result<Vec<Entry>, ImportError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let one = |at: String, wrong: String| ImportError(vec![Mistake { at, wrong }]);
    let heads = reader.headers().map_err(|error| one("line 1".to_owned(), error.to_string()))?.clone();
    let unknown: Vec<Mistake> = heads
        .iter()
        .filter(|head| !NAMES.contains(head))
        .map(|head| Mistake { at: "line 1".to_owned(), wrong: unknown(head) })
        .collect();
    if !unknown.is_empty() {
        return Err(ImportError(unknown));
    }
    let mut found = Vec::new();
    for record in reader.records() {
        let read = match record {
            Ok(record) => {
                let at = record.position().map_or(0, csv::Position::line);
                let pairs = heads.iter().zip(record.iter()).filter(|(_, value)| !value.is_empty());
                let members =
                    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Members>();
                (format!("line {at}"), Ok(members))
            }
            Err(error) => {
                let at = error.position().map_or(0, csv::Position::line);
                (format!("line {at}"), Err(error.to_string()))
            }
        };
        found.push(read);
        if found.len() > MOST_ENTRIES {
            break;
        }
    }
    entries(found, environment)
}

/// Reads JSON. Entries without an environment get `environment`.
pub fn read_json(bytes: &[u8], environment: Option<&str>) -> Result<Vec<Entry>, ImportError> {
    let one = |wrong: String| ImportError(vec![Mistake { at: "file".to_owned(), wrong }]);
    let value: Value = serde_json::from_slice(bytes).map_err(|error| one(format!("no JSON: {error}")))?;
    let list = value.as_array().or_else(|| value.get("rows")?.as_array());
    let list = list.ok_or_else(|| one("neither an array nor an object with rows".to_owned()))?;
    let found = list.iter().take(MOST_ENTRIES + 1).enumerate();
    let found = found.map(|(index, value)| (format!("entry {}", index + 1), members(value)));
    entries(found.collect(), environment)
}

fn unknown(name: &str) -> String {
    format!("{name:?} is no name of an entry; there are {}", NAMES.join(", "))
}

fn members(value: &Value) -> Result<Members, String> {
    let object = value.as_object().ok_or("it is no object")?;
    let mut members = Members::new();
    for (name, value) in object {
        match value {
            // What `routes list` tells beside the route.
            _ if name == "updated" => {}
            _ if !NAMES.contains(&name.as_str()) => return Err(unknown(name)),
            Value::String(text) if !text.is_empty() => {
                members.insert(name.clone(), text.clone());
            }
            Value::String(_) | Value::Null => {}
            _ => return Err(format!("{name} is no text")),
        }
    }
    Ok(members)
}

/// Makes entries of all, or tells every mistake.
fn entries(
    found: Vec<(String, Result<Members, String>)>,
    environment: Option<&str>,
) -> Result<Vec<Entry>, ImportError> {
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    if found.is_empty() {
        mistakes.push(Mistake { at: "file".to_owned(), wrong: "it has no entries".to_owned() });
    }
    if found.len() > MOST_ENTRIES {
        let wrong = format!("it has more than {MOST_ENTRIES} entries");
        return Err(ImportError(vec![Mistake { at: "file".to_owned(), wrong }]));
    }
    let mut known: HashMap<String, String> = HashMap::new();
    for (at, members) in found {
        match members.and_then(|members| entry(&members, environment)) {
            Err(wrong) => mistakes.push(Mistake { at, wrong }),
            Ok(entry) => {
                if let Some(first) = known.get(&entry.key) {
                    let wrong = format!("{} is there already, at {first}", entry.key);
                    mistakes.push(Mistake { at, wrong });
                } else {
                    known.insert(entry.key.clone(), at);
                    entries.push(entry);
                }
            }
        }
    }
    if mistakes.is_empty() { Ok(entries) } else { Err(ImportError(mistakes)) }
}

fn entry(members: &Members, environment: Option<&str>) -> Result<Entry, String> {
    let get = |names: [&str; 2]| {
        let [first, second] = names.map(|name| members.get(name));
        match (first, second) {
            (Some(first), Some(second)) if first != second => {
                Err(format!("{} and {} are not the same", names[0], names[1]))
            }
            (first, second) => Ok(first.or(second).cloned()),
        }
    };
    let full = get(["key", "compilerId"])?;
    let (mut of_key, mut compiler) = (None, members.get("compiler").cloned());
    if let Some(full) = &full {
        let (environment, id) = match full.split_once('#') {
            Some((environment, id)) => (Some(environment.to_owned()), id),
            None => (None, full.as_str()),
        };
        if compiler.as_deref().is_some_and(|compiler| compiler != id) {
            return Err(format!("compiler and {full} are not the same"));
        }
        (of_key, compiler) = (environment, Some(id.to_owned()));
    }
    let compiler = compiler.ok_or("it has no compiler")?;
    let told = members.get("environment").cloned();
    if full.is_some() && told.is_some() && told != of_key {
        return Err("its environment is not that of its key".to_owned());
    }
    let environment = match full {
        Some(_) => of_key,
        None => told.or_else(|| environment.map(ToOwned::to_owned)),
    };
    let (queue, url) = (get(["queue", "queueName"])?, get(["url", "targetUrl"])?);
    let target = match (members.get("routingType").map(String::as_str), queue, url) {
        (None | Some("queue"), Some(queue), None) => Target::Queue(Some(queue)),
        (None | Some("url"), None, Some(url)) => Target::Url(url),
        (Some("queue"), None, None) => Target::Queue(None),
        (None, None, None) => return Err("it has neither a queue nor a url".to_owned()),
        (_, Some(_), Some(_)) => return Err("it has both a queue and a url".to_owned()),
        (Some(kind), ..) => return Err(format!("its routingType {kind:?} does not fit what it names")),
    };
    check(&compiler, environment.as_deref(), Some(&target))?;
    Ok(Entry { key: key(environment.as_deref(), &compiler), environment, target })
}

/// What is wrong with a row that would lead there, if anything.
pub fn check(compiler: &str, environment: Option<&str>, target: Option<&Target>) -> Result<(), String> {
    CompilerId::parse(compiler).map_err(|error| error.to_string())?;
    if compiler.contains('#') {
        return Err(format!("{compiler:?} cannot be a compiler: # stands between environment and compiler"));
    }
    if let Some(environment) = environment.filter(|name| !is_environment(name)) {
        return Err(format!("{environment:?} cannot be an environment"));
    }
    target.and_then(wrong_target).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Vec<Entry>, String> {
        read_csv(text.as_bytes(), Some("prod")).map_err(|error| error.to_string())
    }

    fn json(text: &str) -> Result<Vec<Entry>, String> {
        read_json(text.as_bytes(), Some("prod")).map_err(|error| error.to_string())
    }

    const URL: &str = "https://gpu.example/api/compiler/nvcc130/compile";

    #[test]
    fn both_forms_say_the_same() {
        let expected = [
            Entry {
                key: "prod#g132".to_owned(),
                environment: Some("prod".to_owned()),
                target: Target::Queue(Some("jobs".to_owned())),
            },
            Entry {
                key: "beta#nvcc130".to_owned(),
                environment: Some("beta".to_owned()),
                target: Target::Url(URL.to_owned()),
            },
        ];
        let lines = format!("compiler, environment, queue, url\ng132,,jobs,\n\"nvcc130\",beta,,{URL}\n");
        assert_eq!(csv(&lines).unwrap(), expected);
        let lines = format!(
            "compilerId,routingType,queueName,targetUrl\nprod#g132,queue,jobs,\nbeta#nvcc130,url,,{URL}\n"
        );
        assert_eq!(csv(&lines).unwrap(), expected);
        let list = format!(
            r#"[{{"compiler":"g132","queue":"jobs"}},{{"compiler":"nvcc130","environment":"beta","url":"{URL}"}}]"#
        );
        assert_eq!(json(&list).unwrap(), expected);
        let listed = format!(
            r#"{{"rows":[{{"key":"prod#g132","environment":"prod","compiler":"g132","queue":"jobs","updated":"x"}},
            {{"key":"beta#nvcc130","environment":"beta","compiler":"nvcc130","url":"{URL}","updated":null}}]}}"#
        );
        assert_eq!(json(&listed).unwrap(), expected);
        let bare = json(r#"[{"compilerId":"g132","queueName":"jobs"}]"#).unwrap();
        assert_eq!((bare[0].key.as_str(), &bare[0].environment), ("g132", &None));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        for (text, expected) in [
            ("compiler,queue\n", "it has no entries"),
            ("compiler,queu\ng,q\n", "line 1: \"queu\" is no name"),
            ("compiler,queue,url\ng,q,https://x/compile\n", "line 2: it has both"),
            ("compiler,queue\ng,\n", "line 2: it has neither"),
            ("compiler,queue\n,q\n", "line 2: it has no compiler"),
            ("compiler,queue\ng,q\ng,q\n", "line 3: prod#g is there already, at line 2"),
            ("compiler,queue\ng,q,r\n", "line 2: "),
            ("compiler,queue\ng,a/b\n", "line 2: \"a/b\" cannot be a queue"),
            ("compiler,url\ng,ftp://x\n", "line 2: \"ftp://x\" is no http"),
            ("compiler,environment,queue\ng,a#b,q\n", "cannot be an environment"),
            ("compiler,queue\na#b,q\n", "cannot be a compiler"),
            ("compilerId,environment,queue\nprod#g,beta,q\n", "not that of its key"),
            ("compiler,routingType,queue\ng,url,q\n", "does not fit"),
        ] {
            let told = csv(text).unwrap_err();
            assert!(told.contains(expected) && told.contains("nothing was written"), "{text}: {told}");
        }
        for (text, expected) in [
            ("{}", "neither an array"),
            ("[", "no JSON"),
            ("[7]", "entry 1: it is no object"),
            (r#"[{"compiler":7}]"#, "compiler is no text"),
            (r#"[{"compiler":"g","queue":"q"},{"compiler":"h"},{"x":1}]"#, "2 mistakes"),
            (r#"[{"key":"a","compilerId":"b","queue":"q"}]"#, "not the same"),
        ] {
            let told = json(text).unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
        let many = format!("compiler,queue\n{}", ",q\n".repeat(200));
        let told = csv(&many).unwrap_err();
        assert!(told.contains("200 mistakes") && told.lines().count() == 52, "{told}");
    }

    proptest::proptest! {
        #[test]
        fn no_file_is_too_odd(bytes: Vec<u8>, text in "(compiler|queue|url|[,\"\n a#x/\u{e9}\u{1f600}\0\r\u{1b}])*") {
            for bytes in [&bytes[..], text.as_bytes()] {
                for read in [read_csv(bytes, None), read_json(bytes, None)] {
                    for entry in read.into_iter().flatten() {
                        assert!(wrong_target(&entry.target).is_none() && !entry.key.is_empty());
                    }
                }
            }
        }

        #[test]
        fn what_is_quoted_is_read_back(compiler in "[ -\"$-~]{1,20}[!-\"$-~]", queue in "[a-z][a-z0-9-]{0,20}") {
            let compiler = compiler.trim();
            let text = format!("compiler,queue\n\"{}\",{queue}\n", compiler.replace('"', "\"\""));
            let read = csv(&text).unwrap();
            assert_eq!(&read[0].key, &format!("prod#{compiler}"));
            assert_eq!(&read[0].target, &Target::Queue(Some(queue)));
        }
    }
}
