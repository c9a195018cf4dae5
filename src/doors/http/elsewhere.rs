//! Requests that this worker does not answer itself: to a queue, or to another service.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Limited;

use super::Desk;
use super::body::Media;
use super::compile::{Order, content_type, marked};
use super::conduct::{Call, Facts};
use super::reject::Rejection;
use crate::domain::class::Class;
use crate::domain::ids::{CompilerId, RequestId};
use crate::domain::limits::Deadline;
use crate::domain::trace::{self, Traced};
use crate::doors::reply::{self, Reply};
use crate::doors::workshop::Workshop;
use crate::engine::Rendition;
use crate::relay::forward::Forward;
use crate::relay::{JobName, Relay, RelayError, Relayed};
use crate::routing::{Destination, Here, Queue, Router};
use crate::wire::envelope::{self, Body as Payload, Build, Outgoing};
use crate::wire::relayed::Shape;
use crate::{text, wire};

/// The rest of the fleet, as this worker knows it.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Who says where a request goes.
    pub router: Arc<Router>,
    /// The way to workers that listen to a queue.
    pub relay: Relay,
    /// The way to other services.
    pub forward: Forward,
}

/// A reply that another service made: nothing of it is ours to change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forwarded;

impl<W: Workshop> Desk<W> {
    /// Where a request for this compiler goes.
    pub(super) async fn destination(&self, id: &str) -> Result<Destination, Rejection> {
        let Some(fleet) = &self.parts.fleet else { return Ok(Destination::Here) };
        let Ok(compiler) = CompilerId::parse(id) else { return Err(Rejection::no_compiler(id)) };
        let here = match self.parts.workshop.find(None, id) {
            None => Here::Lacking,
            Some(_) if self.parts.workshop.is_busy() => Here::Busy,
            Some(_) => Here::Free,
        };
        match fleet.router.decide(&compiler, here).await?.destination {
            Destination::Nowhere => Err(Rejection::no_compiler(id)),
            destination => Ok(destination),
        }
    }

    /// Hands a request on to `service` as it comes in, and its reply out as it comes back.
    pub(super) async fn forward(
        &self,
        service: &http::Uri,
        errand: &str,
        request: Request,
    ) -> Result<Reply, Rejection> {
        self.admit()?;
        let fleet = self.fleet()?;
        let (mut head, body) = request.into_parts();
        let call = Call::of(&head)?;
        let deadline = self.deadline(&call);
        // What is recorded here is the parent of what is recorded there, and whether it is, is decided once. Where nothing
        // is decided, the header stays as it came.
        let decided = call.traced.filter(|_| self.parts.settings.sampling.is_some());
        if let Some(context) =
            decided.and_then(|traced| HeaderValue::try_from(traced.onward().to_string()).ok())
        {
            head.headers.insert(trace::HEADER, context);
        }
        let most = self.parts.settings.body_bytes;
        if reply::length(&body) > most {
            return Err(Rejection::too_large(most));
        }
        let body = Limited::new(body, most);
        let response = fleet.forward.send(service, errand, &head, body, deadline).await?;
        let mut reply: Response<Body> = response.map(Body::new);
        reply.extensions_mut().insert(Forwarded);
        Ok(reply)
    }

    /// Has a worker that listens to `queue` answer an order.
    pub(super) async fn relay(
        &self,
        queue: &Queue,
        order: Order,
        compiler: &str,
        build: &Build,
    ) -> Result<Reply, Rejection> {
        let fleet = self.fleet()?;
        // What is wrong with it, it is told here and now.
        let draft = order.read()?;
        let filter_ansi = draft.finish(W::split)?.backend.filter_ansi;
        let queue = fleet.router.address(queue).await?;
        // The client's own name for its request is no secret, and so no address for its result.
        let id = RequestId::mint();
        let payload = match order.media {
            Media::Json => Payload::Json(&order.body.bytes),
            Media::Other => Payload::Text(&order.body.bytes),
        };
        let job = Outgoing { id: &id, compiler, build, query: &order.query, body: payload };
        let message = envelope::write(&job)?;
        let Order { call, rendition, body, .. } = order;
        // Nobody needs its bytes and its room any more, and the wait may be long.
        drop(body);
        tracing::debug!(request.id = %call.id, trace.id = call.trace(), job.id = %id, queue = %queue, "sent to the queue");
        let name = JobName { id: &id, compiler, trace: call.traced.map(Traced::onward) };
        let shape = match rendition {
            Rendition::Json => Shape::Json,
            Rendition::Text => {
                Shape::Text { strip: filter_ansi.then_some(text::ansi::strip as wire::result::Strip) }
            }
        };
        let asked = fleet.relay.ask(&queue, name, message, self.deadline(&call), shape).await;
        let relayed = asked.map_err(|error| match error {
            // The client has waited since its request arrived.
            RelayError::Silent { id, .. } => {
                RelayError::Silent { id, waited: self.parts.settings.answer_within }
            }
            other => other,
        })?;
        Ok(self.shown(relayed, rendition))
    }

    /// A relayed result as a reply.
    fn shown(&self, Relayed { body, status }: Relayed, rendition: Rendition) -> Reply {
        let reply = self.timed(reply::reply(StatusCode::OK, content_type(rendition), body));
        marked(reply, Facts { job: status, cached: false })
    }

    fn fleet(&self) -> Result<&Fleet, Rejection> {
        let fleet = self.parts.fleet.as_ref();
        fleet.ok_or_else(|| Rejection::new(Class::Internal, "a route without a fleet"))
    }

    /// Until when a call is answered.
    pub(super) fn deadline(&self, call: &Call) -> Deadline {
        Deadline::at(call.arrived + self.parts.settings.answer_within)
    }
}
