//! What an operator does to SQS queues as a whole: finds them, looks at how they are set and how full, and empties them.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind};
use crate::aws::{answers, place};
use crate::ports::QueueAddress;

/// Looking twice is looking once, and emptying twice is emptying once; an operator waits.
const VERB: Patience = Patience { attempt: Duration::from_secs(5), attempts: 3 };

/// Any queue, as a whole.
#[derive(Debug)]
pub struct SqsOverseer {
    clients: Clients,
}

impl SqsOverseer {
    /// Asks nothing yet.
    pub fn new(clients: &Clients) -> Self {
        Self { clients: clients.clone() }
    }

    /// The queue with this name, which has no place in it; `None` if there is none.
    pub async fn find(&self, name: &str) -> Result<Option<QueueAddress>, Fault> {
        let client = self.clients.sqs(&place::of_names(self.clients.settings()), VERB);
        match client.get_queue_url().queue_name(name).send().await {
            Ok(answer) => match answer.queue_url {
                Some(url) => Ok(Some(QueueAddress::new(&url))),
                None => Err(Fault::new(Kind::Garbled, "the answer has no URL")),
            },
            Err(error) if answers::is_absent(code(&error)) => Ok(None),
            Err(error) => Err(self.clients.fault(&error)),
        }
    }

    /// Everything that the queue says of itself, by SQS's names.
    pub async fn attributes(&self, queue: &QueueAddress) -> Result<BTreeMap<String, String>, Fault> {
        let client = self.client(queue)?;
        let call = client.get_queue_attributes().queue_url(queue.as_str());
        let answer = call.attribute_names(QueueAttributeName::All).send().await;
        let answer = answer.map_err(|error| self.clients.fault(&error))?;
        let all = answer.attributes.into_iter().flatten();
        Ok(all.map(|(name, value)| (name.as_str().to_owned(), value)).collect())
    }

    /// Deletes every message of the queue. SQS takes up to a minute for it, and does it once in a minute.
    pub async fn purge(&self, queue: &QueueAddress) -> Result<(), Fault> {
        let client = self.client(queue)?;
        let answer = client.purge_queue().queue_url(queue.as_str()).send().await;
        answer.map(drop).map_err(|error| self.clients.fault(&error))
    }

    fn client(&self, queue: &QueueAddress) -> Result<aws_sdk_sqs::Client, Fault> {
        let place = self.clients.place(queue);
        let place = place.ok_or_else(|| Fault::new(Kind::Refused, &format!("{queue} is no URL")))?;
        Ok(self.clients.sqs(&place, VERB))
    }
}

fn code<E>(error: &SdkError<E, HttpResponse>) -> Option<&str>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}
