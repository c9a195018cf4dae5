//! The routing table in DynamoDB as its operator sees it: every row as it stands, however odd, and writes that do not
//! overtake another operator's.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind};

/// Reading is repeatable, and so is a write that says what it expects; one page is a megabyte.
const VERB: Patience = Patience { attempt: Duration::from_secs(5), attempts: 4 };
/// Pages read at most; all deployments together fill two.
const MOST_PAGES: usize = 64;
/// The key's attribute.
const KEY: &str = "compilerId";
/// How DynamoDB says that the row is no longer what was expected.
const OVERTAKEN: &str = "ConditionalCheckFailedException";

/// A row as DynamoDB has it.
type Item = HashMap<String, AttributeValue>;

/// A routing table.
#[derive(Debug)]
pub struct RouteTable {
    clients: Clients,
    client: Client,
    name: String,
}

/// A row as it stands in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// Its key.
    pub key: String,
    /// Its attributes that are texts, by name, without the key.
    pub texts: BTreeMap<String, String>,
    /// The names of its other attributes.
    pub others: Vec<String>,
    item: Item,
}

/// What became of a write that expected something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is done.
    Done,
    /// Another was there first: the row is no longer what was expected.
    Overtaken,
}

impl RouteTable {
    /// The table with this name. Asks nothing yet.
    pub fn new(clients: &Clients, name: String) -> Self {
        Self { clients: clients.clone(), client: clients.dynamodb(VERB), name }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every row, in no order. `tell` hears after each page how many there are so far.
    pub async fn rows(&self, mut tell: impl FnMut(usize)) -> Result<Vec<TableRow>, Fault> {
        let (mut rows, mut from) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let call = self.client.scan().table_name(&self.name).consistent_read(true);
            let answer = call.set_exclusive_start_key(from).send().await;
            let answer = answer.map_err(|error| self.clients.fault(&error))?;
            rows.extend(answer.items.unwrap_or_default().into_iter().filter_map(TableRow::read));
            tell(rows.len());
            from = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(rows);
            }
        }
        Err(Fault::new(Kind::Refused, &format!("it has more than {MOST_PAGES} pages")))
    }

    /// The row under this key.
    pub async fn row(&self, key: &str) -> Result<Option<TableRow>, Fault> {
        let call = self.client.get_item().table_name(&self.name).consistent_read(true);
        let answer = call.key(KEY, text(key)).send().await;
        let answer = answer.map_err(|error| self.clients.fault(&error))?;
        Ok(answer.item.and_then(TableRow::read))
    }

    /// Sets these attributes of the row under `key`, if it still is what was `seen`.
    pub async fn set(
        &self,
        key: &str,
        texts: &BTreeMap<String, String>,
        seen: Option<&TableRow>,
    ) -> Result<Written, Fault> {
        let mut expected = Expected::of(seen);
        let set: Vec<String> = texts
            .iter()
            .map(|(name, value)| {
                let (name, value) = (expected.name(name), expected.value(text(value)));
                format!("{name} = {value}")
            })
            .collect();
        let Expected { condition, names, values } = expected;
        let call = self.client.update_item().table_name(&self.name).key(KEY, text(key));
        let call = call.update_expression(format!("SET {}", set.join(", ")));
        let call = call.condition_expression(condition.join(" AND "));
        let call = call.set_expression_attribute_names(Some(names));
        fate(
            call.set_expression_attribute_values(Some(values))
                .send()
                .await
                .map(drop)
                .map_err(|error| self.clients.fault(&error)),
        )
    }

    /// Deletes a row, if it still is what was `seen`.
    pub async fn delete(&self, seen: &TableRow) -> Result<Written, Fault> {
        let Expected { condition, names, values } = Expected::of(Some(seen));
        let call = self.client.delete_item().table_name(&self.name).key(KEY, text(&seen.key));
        let call = call.condition_expression(condition.join(" AND "));
        let call = call.set_expression_attribute_names(Some(names));
        let call = call.set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()));
        fate(call.send().await.map(drop).map_err(|error| self.clients.fault(&error)))
    }
}

impl TableRow {
    /// A new row, over what stood under its key before: attributes that are not ours stay.
    pub fn over(before: Option<&Self>, key: &str, texts: &BTreeMap<String, String>) -> Self {
        let mut item = before.map(|row| row.item.clone()).unwrap_or_default();
        item.insert(KEY.to_owned(), text(key));
        item.extend(texts.iter().map(|(name, value)| (name.clone(), text(value))));
        Self::of(key.to_owned(), item)
    }

    /// A row that was read. One whose key is no text cannot be in a table whose key is one.
    fn read(item: Item) -> Option<Self> {
        let key = item.get(KEY)?.as_s().ok()?.clone();
        Some(Self::of(key, item))
    }

    fn of(key: String, item: Item) -> Self {
        let (mut texts, mut others) = (BTreeMap::new(), Vec::new());
        for (name, value) in item.iter().filter(|(name, _)| *name != KEY) {
            match value {
                AttributeValue::S(text) => {
                    texts.insert(name.clone(), text.clone());
                }
                _ => others.push(name.clone()),
            }
        }
        others.sort();
        Self { key, texts, others, item }
    }
}

/// What a row must still be for a write to happen.
#[derive(Debug, Default)]
struct Expected {
    condition: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expected {
    /// The attributes that were seen, each with its value; no row at all, if there was none. One that came since is
    /// noticed where it changes what the row says: whoever changes a row writes when.
    fn of(seen: Option<&TableRow>) -> Self {
        let mut expected = Self::default();
        let Some(row) = seen else {
            let key = expected.name(KEY);
            expected.condition.push(format!("attribute_not_exists({key})"));
            return expected;
        };
        let key = expected.name(KEY);
        expected.condition.push(format!("attribute_exists({key})"));
        for (name, value) in row.item.iter().filter(|(name, _)| *name != KEY) {
            let (name, value) = (expected.name(name), expected.value(value.clone()));
            expected.condition.push(format!("{name} = {value}"));
        }
        if !row.item.contains_key("lastUpdated") {
            let name = expected.name("lastUpdated");
            expected.condition.push(format!("attribute_not_exists({name})"));
        }
        expected
    }

    /// A stand-in for a name: DynamoDB reserves hundreds of words.
    fn name(&mut self, name: &str) -> String {
        let alias = format!("#n{}", self.names.len());
        if let Some((alias, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return alias.clone();
        }
        self.names.insert(alias.clone(), name.to_owned());
        alias
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let alias = format!(":v{}", self.values.len());
        self.values.insert(alias.clone(), value);
        alias
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn fate(answer: Result<(), Fault>) -> Result<Written, Fault> {
    match answer {
        Ok(()) => Ok(Written::Done),
        Err(fault) if fault.code.as_deref() == Some(OVERTAKEN) => Ok(Written::Overtaken),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_new_row_keeps_what_is_not_ours() {
        let mut before = TableRow::over(None, "prod#g132", &texts(&[("queueName", "old"), ("note", "x")]));
        before.item.insert("ttl".to_owned(), AttributeValue::N("7".to_owned()));
        let after = TableRow::over(Some(&before), "prod#g132", &texts(&[("queueName", "new")]));
        assert_eq!(after.texts, texts(&[("queueName", "new"), ("note", "x")]));
        assert_eq!((after.key.as_str(), after.others), ("prod#g132", vec!["ttl".to_owned()]));
    }

    #[test]
    fn a_write_expects_what_was_seen() {
        let Expected { condition, names, .. } = Expected::of(None);
        assert_eq!(condition, ["attribute_not_exists(#n0)"]);
        assert_eq!(names["#n0"], KEY);
        let seen = TableRow::over(None, "a", &texts(&[("queueName", "q")]));
        let mut expected = Expected::of(Some(&seen));
        assert_eq!(expected.condition, ["attribute_exists(#n0)", "#n1 = :v0", "attribute_not_exists(#n2)"]);
        assert_eq!(expected.name("queueName"), "#n1", "a name has one stand-in");
    }
}
