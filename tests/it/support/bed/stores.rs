//! Objects by path, items by key, and parameters by name.

use compilation_worker::ports::{Blob, BlobAddress, BlobStore as _};
use http::Method;
use serde_json::{Value, json};

use super::State;
use super::calls::Service;
use super::http::{Answer, Asked, json as answer, refusal, said};

/// What an object's own facts are prefixed with.
const FACT: &str = "x-amz-meta-";

impl State {
    /// S3's `GetObject` and `PutObject`. Every bucket is there.
    pub(super) async fn object_call(&self, asked: &Asked) -> Answer {
        let Some((bucket, key)) = asked.path.trim_start_matches('/').split_once('/') else {
            return refusal(Service::S3, 400, "InvalidRequest", "no key");
        };
        let at = BlobAddress { bucket: bucket.to_owned(), key: key.to_owned() };
        match asked.method {
            Method::PUT => {
                self.blobs.put(&at, blob(asked)).await.unwrap();
                said(200, "application/xml", "")
            }
            Method::GET => match self.blobs.get(&at, u64::MAX).await.unwrap() {
                Some(found) => object(found),
                None => refusal(Service::S3, 404, "NoSuchKey", "The specified key does not exist."),
            },
            _ => refusal(Service::S3, 405, "MethodNotAllowed", "no such method here"),
        }
    }

    /// `DynamoDB`'s `GetItem` and SSM's `GetParameter`.
    pub(super) fn table_call(&self, verb: &str, body: &[u8]) -> Answer {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match verb {
            "GetItem" => {
                let key = (text(&asked["TableName"]), text(&asked["Key"]["compilerId"]["S"]));
                match self.items.lock().unwrap().get(&key) {
                    Some(item) => answer(&json!({ "Item": item })),
                    None => answer(&json!({})),
                }
            }
            "Scan" => {
                self.scan(&text(&asked["TableName"]), asked["ExclusiveStartKey"]["compilerId"]["S"].as_str())
            }
            "GetParameter" => match self.parameters.lock().unwrap().get(&text(&asked["Name"])) {
                Some(value) => answer(&json!({ "Parameter": { "Name": asked["Name"], "Value": value } })),
                None => refusal(Service::Ssm, 400, "ParameterNotFound", ""),
            },
            _ => refusal(Service::DynamoDb, 400, "UnknownOperationException", verb),
        }
    }
}

impl State {
    /// The rows of a table, two to a page.
    fn scan(&self, table: &str, after: Option<&str>) -> Answer {
        let items = self.items.lock().unwrap();
        let mut rows: Vec<_> = items.iter().filter(|((of, _), _)| of == table).collect();
        rows.sort_by_key(|((_, key), _)| key);
        rows.retain(|((_, key), _)| after.is_none_or(|after| key.as_str() > after));
        let page: Vec<&Value> = rows.iter().take(2).map(|(_, item)| *item).collect();
        let last = rows.get(1).filter(|_| rows.len() > 2).map(|((_, key), _)| key);
        let last = last.map_or(Value::Null, |key| json!({ "compilerId": { "S": key } }));
        answer(&json!({ "Items": page, "LastEvaluatedKey": last }))
    }
}

fn blob(asked: &Asked) -> Blob {
    let texts = asked.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let facts =
        texts.filter_map(|(name, value)| Some((name.strip_prefix(FACT)?.to_owned(), value.to_owned())));
    let content_type = asked.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    Blob {
        bytes: asked.body.clone(),
        metadata: facts.collect(),
        content_type: content_type.unwrap_or_default().to_owned(),
    }
}

fn object(blob: Blob) -> Answer {
    let mut answer = said(200, &blob.content_type, blob.bytes);
    for (name, value) in &blob.metadata {
        let name: http::HeaderName = format!("{FACT}{name}").parse().unwrap();
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}
