//! Copies of requests for the shadow, and our own replies to them.

use axum::body::Body;
use http::StatusCode;
use http_body_util::BodyExt as _;

use super::Desk;
use super::conduct::{Call, Facts};
use super::reject::Rejection;
use crate::doors::reply::{self, Reply};
use crate::doors::workshop::Workshop;
use crate::engine::Rendition;
use crate::relay::shadow::{Copy, LARGEST_REPLY, Ours};

/// What the shadow needs to know of a request whose copy it was given.
pub(super) struct Watched {
    copy: Copy,
    call: Call,
    rendition: Rendition,
}

impl Watched {
    pub(super) fn new(copy: Option<Copy>, call: &Call, rendition: Rendition) -> Option<Self> {
        copy.map(|copy| Self { copy, call: call.clone(), rendition })
    }
}

impl<W: Workshop> Desk<W> {
    /// What became of a request, which the shadow is told if it has a copy. Failures of ours are not compared: they say
    /// nothing of what we would have answered.
    pub(super) async fn mirror(
        &self,
        watched: Option<Watched>,
        outcome: Result<Reply, Rejection>,
    ) -> Result<Reply, Rejection> {
        let Some((Watched { copy, call, rendition }, shadow)) = watched.zip(self.parts.shadow.as_ref())
        else {
            return outcome;
        };
        let ours = |status: StatusCode, body, remembered| Ours {
            id: call.id.clone(),
            trace: call.traced.map(|traced| traced.context.id),
            status: status.as_u16(),
            body,
            is_text: rendition == Rendition::Text,
            remembered,
        };
        match outcome {
            Ok(reply) if reply::length(reply.body()) > LARGEST_REPLY => Ok(reply),
            Ok(reply) => {
                // All of it is there already: nothing that is read whole is streamed.
                let (head, body) = reply.into_parts();
                let remembered = head.extensions.get::<Facts>().is_some_and(|facts| facts.cached);
                let body = body.collect().await.map_err(|_| Rejection::cut_off())?.to_bytes();
                shadow.compare(copy, ours(head.status, body.clone(), remembered));
                Ok(Reply::from_parts(head, Body::from(body)))
            }
            Err(rejection) => {
                if [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND].contains(&rejection.status) {
                    shadow.compare(copy, ours(rejection.status, bytes::Bytes::new(), false));
                }
                Err(rejection)
            }
        }
    }
}
