//! The routing table in DynamoDB, and the live color in a parameter.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::aws::clients::{Clients, Patience};
use crate::aws::color::ColorParameter;
use crate::aws::fault::Fault;
use crate::ports::{Color, Keyed, LookupError, Pending, RouteRow, RouteStore, RouteTarget};

/// A lookup holds up a request, and the router has the last known row: two attempts, each a hundred times as long as
/// DynamoDB usually takes.
const LOOKUP: Patience = Patience { attempt: Duration::from_secs(1), attempts: 2 };

/// Reading the whole table is nobody's request. One page is a megabyte.
const SCAN: Patience = Patience { attempt: Duration::from_secs(5), attempts: 3 };
/// Pages read at most; all deployments together fill two.
const MOST_PAGES: usize = 32;

/// Longest partition key, in bytes.
const LONGEST_KEY: usize = 2048;

/// What is asked of a row. Aliased, because DynamoDB reserves hundreds of words.
const ATTRIBUTES: [(&str, &str); 4] =
    [("#t", "routingType"), ("#q", "queueName"), ("#u", "targetUrl"), ("#e", "environment")];

/// A row as DynamoDB has it.
type Item = HashMap<String, AttributeValue>;

/// The routing table and, where a deployment has two halves, which of them is live.
#[derive(Debug)]
pub struct AwsRoutes {
    clients: Clients,
    client: Client,
    scanning: Client,
    table: String,
    color: Option<ColorParameter>,
}

impl AwsRoutes {
    /// The table with this name, and the parameter that names the live color; without one everything is blue. Asks
    /// nothing yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients, table: String, color: Option<String>) -> Result<Self, Fault> {
        Ok(Self {
            clients: clients.clone(),
            client: clients.dynamodb(LOOKUP),
            scanning: clients.dynamodb(SCAN),
            table,
            color: color.map(|name| ColorParameter::new(clients, name)).transpose()?,
        })
    }

    async fn find(&self, key: &str) -> Result<Option<RouteRow>, LookupError> {
        let names = ATTRIBUTES.map(|(alias, name)| (alias.to_owned(), name.to_owned()));
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("compilerId", AttributeValue::S(key.to_owned()))
            .projection_expression(ATTRIBUTES.map(|(alias, _)| alias).join(","))
            .set_expression_attribute_names(Some(names.into()))
            .send()
            .await
            .map_err(|error| LookupError::Unreachable {
                what: key.to_owned(),
                source: Box::new(self.clients.fault(&error)),
            })?;
        answer.item.map(|item| row(key, &item)).transpose()
    }

    /// One page of the table, from where the last one ended.
    async fn page(&self, from: Option<Item>) -> Result<(Vec<Keyed>, Option<Item>), LookupError> {
        let call = self.scanning.scan().table_name(&self.table).set_exclusive_start_key(from);
        let answer = call.send().await.map_err(|error| LookupError::Unreachable {
            what: format!("the rows of {}", self.table),
            source: Box::new(self.clients.fault(&error)),
        })?;
        let rows = answer.items.unwrap_or_default();
        let rows = rows.iter().filter_map(|item| {
            let key = item.get("compilerId")?.as_s().ok()?;
            Some((key.clone(), row(key, item).ok()))
        });
        Ok((rows.collect(), answer.last_evaluated_key.filter(|key| !key.is_empty())))
    }
}

impl RouteStore for AwsRoutes {
    fn lookup<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<RouteRow>, LookupError>> {
        Box::pin(async move {
            // DynamoDB calls these keys invalid. There is no row under them, and that is the answer.
            if key.is_empty() || key.len() > LONGEST_KEY {
                return Ok(None);
            }
            self.find(key).await
        })
    }

    fn all(&self) -> Pending<'_, Result<Vec<Keyed>, LookupError>> {
        Box::pin(async move {
            let (mut all, mut from) = (Vec::new(), None);
            for _ in 0..MOST_PAGES {
                let (rows, next) = self.page(from).await?;
                all.extend(rows);
                if next.is_none() {
                    return Ok(all);
                }
                from = next;
            }
            let wrong = format!(
                "it has more than the {MOST_PAGES} pages that are read at the start; leave routing.warm_up off"
            );
            Err(LookupError::Malformed { key: self.table.clone(), wrong })
        })
    }

    fn active_color(&self) -> Pending<'_, Result<Color, LookupError>> {
        Box::pin(async move {
            let Some(parameter) = &self.color else { return Ok(Color::Blue) };
            parameter.color().await.map_err(|fault| LookupError::Unreachable {
                what: parameter.name().to_owned(),
                source: Box::new(fault),
            })
        })
    }
}

/// Reads a row as the deployed router does: an empty text is none, and whatever is not `url` is a queue.
fn row(key: &str, item: &Item) -> Result<RouteRow, LookupError> {
    let text = |name: &str| match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(LookupError::Malformed { key: key.to_owned(), wrong: format!("{name} is no text") }),
    };
    let (kind, queue, url) = (text("routingType")?, text("queueName")?, text("targetUrl")?);
    let target = match (kind.as_deref(), queue, url) {
        (Some("url"), _, Some(url)) => RouteTarget::Url(url),
        (Some("url"), _, None) | (_, None, _) => RouteTarget::DefaultQueue,
        (_, Some(queue), _) => RouteTarget::Queue(queue),
    };
    Ok(RouteRow { key: key.to_owned(), target, environment: text("environment")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    fn read(attributes: &[(&str, AttributeValue)]) -> Result<RouteRow, LookupError> {
        let item = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        row("prod#g132", &item)
    }

    #[test]
    fn a_row_reads_as_the_deployed_router_reads_it() {
        let url = "https://gpu.example/api/compiler/nvcc130/compile";
        for (attributes, expected) in [
            (vec![("queueName", text("q"))], RouteTarget::Queue("q".to_owned())),
            (
                vec![("routingType", text("queue")), ("queueName", text("q"))],
                RouteTarget::Queue("q".to_owned()),
            ),
            (
                vec![("routingType", text("odd")), ("queueName", text("q"))],
                RouteTarget::Queue("q".to_owned()),
            ),
            (vec![("routingType", text("queue")), ("queueName", text(""))], RouteTarget::DefaultQueue),
            (vec![("routingType", text("url")), ("targetUrl", text(url))], RouteTarget::Url(url.to_owned())),
            (vec![("routingType", text("url")), ("targetUrl", text(""))], RouteTarget::DefaultQueue),
            (vec![("routingType", text("url")), ("queueName", text("q"))], RouteTarget::DefaultQueue),
            (vec![], RouteTarget::DefaultQueue),
        ] {
            assert_eq!(read(&attributes).unwrap().target, expected, "{attributes:?}");
        }
        let row = read(&[("environment", text("prod"))]).unwrap();
        assert_eq!((row.key.as_str(), row.environment.as_deref()), ("prod#g132", Some("prod")));
    }

    #[test]
    fn a_wrong_type_is_an_error_that_names_it() {
        let wrong = [
            AttributeValue::N("1".to_owned()),
            AttributeValue::Bool(true),
            AttributeValue::Null(true),
            AttributeValue::L(Vec::new()),
        ];
        for (_, name) in ATTRIBUTES {
            for value in &wrong {
                let error = read(&[(name, value.clone())]).unwrap_err();
                assert_eq!(error.to_string(), format!("the row prod#g132 is malformed: {name} is no text"));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(kind in "url|queue|.*", queue in ".*", url in ".*") {
            let attributes = [("routingType", text(&kind)), ("queueName", text(&queue)), ("targetUrl", text(&url))];
            let target = read(&attributes).unwrap().target;
            match target {
                RouteTarget::Url(target) => assert!(kind == "url" && target == url && !url.is_empty()),
                RouteTarget::Queue(target) => assert!(kind != "url" && target == queue && !queue.is_empty()),
                RouteTarget::DefaultQueue => assert!(url.is_empty() || queue.is_empty()),
            }
        }
    }
}
