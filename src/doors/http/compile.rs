//! The compile routes: a body in, an answer or a rejection out.

use axum::extract::{FromRequest, Path, Request, State};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::{Instant, timeout_at};

use super::body::{self, Media, Received};
use super::conduct::{Call, Facts};
use super::mirror::Watched;
use super::negotiate;
use super::reject::{JOB_STATUS, Rejection};
use super::{Desk, Shared};
use crate::domain::class::Class;
use crate::domain::ids::RequestId;
use crate::domain::request::BUILD_SYSTEMS;
use crate::domain::result::JobStatus;
use crate::doors::reply::{self, JSON, ReadBy, Reply, TEXT};
use crate::doors::server::Opening;
use crate::doors::workshop::{Job, Workshop};
use crate::engine::{Answer, Rendition, Terms};
use crate::relay::shadow::Copy;
use crate::routing::Destination;
use crate::wire;
use crate::wire::envelope::Build;
use crate::wire::request::{Draft, RequestError};

/// Bytes of a reply that any client of ours reads within a second.
const LARGE: usize = 1024 * 1024;

/// A body that was received whole, and everything else that its answer depends on.
pub(super) struct Order {
    pub(super) call: Call,
    pub(super) query: String,
    pub(super) media: Media,
    pub(super) rendition: Rendition,
    pub(super) body: Received,
    /// A copy for the shadow, if this is one of those that are copied.
    copy: Option<Copy>,
}

/// `/api/compiler/{id}/compile`
///
/// Each way a request can go is a future of its own size: those who wait for the fleet are many, and should not be as
/// large as those who compile.
pub(super) async fn compile<W: Workshop>(
    State(desk): State<Shared<W>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Reply, Rejection> {
    Call::note(&request, &id);
    let destination = Box::pin(desk.destination(&id)).await?;
    match destination {
        Destination::Url(service) => Box::pin(desk.forward(&service, "compile", request)).await,
        Destination::Queue(queue) => {
            let mut order = Box::pin(Order::from_request(request, &desk)).await?;
            let (watched, key) = (order.watched(), desk.key(&order, Some(&id)));
            let outcome = match Box::pin(desk.recall(&key, order.rendition)).await {
                Some(reply) => Ok(reply),
                None => Box::pin(desk.relay(&queue, order, &id, &Build::Compile)).await,
            };
            Box::pin(desk.mirror(watched, outcome)).await
        }
        _ => {
            Box::pin(async {
                let mut order = Order::from_request(request, &desk).await?;
                let watched = order.watched();
                let outcome = desk.answer(order, Some(id), Order::read).await;
                Box::pin(desk.mirror(watched, outcome)).await
            })
            .await
        }
    }
}

/// `/api/noscript/compile`: what a form sends, the compiler included.
pub(super) async fn noscript<W: Workshop>(
    State(desk): State<Shared<W>>,
    order: Order,
) -> Result<Reply, Rejection> {
    desk.answer(order, None, |order| wire::request::form(&order.body.bytes)).await
}

/// `/api/compiler/{id}/cmake`
pub(super) async fn cmake<W: Workshop>(
    State(desk): State<Shared<W>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Reply, Rejection> {
    project(&desk, &id, ("cmake", "cmake"), request).await
}

/// `/api/compiler/{id}/build/{system}`
pub(super) async fn build<W: Workshop>(
    State(desk): State<Shared<W>>,
    Path((id, system)): Path<(String, String)>,
    request: Request,
) -> Result<Reply, Rejection> {
    if !BUILD_SYSTEMS.contains(&system.as_str()) {
        return Err(Rejection::new(Class::Unknown, format!("Unknown build system '{system}'")));
    }
    project(&desk, &id, (&system, &format!("build/{system}")), request).await
}

/// Answers a project build, wherever it is made.
async fn project<W: Workshop>(
    desk: &Shared<W>,
    id: &str,
    (system, errand): (&str, &str),
    request: Request,
) -> Result<Reply, Rejection> {
    Call::note(&request, id);
    let destination = desk.destination(id).await?;
    if let Destination::Url(service) = &destination {
        return desk.forward(service, errand, request).await;
    }
    let order = Order::from_request(request, desk).await?;
    match destination {
        Destination::Queue(queue) => desk.relay(&queue, order, id, &Build::Project(system.to_owned())).await,
        _ => desk.build(&order, id),
    }
}

impl<W: Workshop> FromRequest<Shared<W>> for Order {
    type Rejection = Rejection;

    async fn from_request(request: Request, desk: &Shared<W>) -> Result<Self, Rejection> {
        let (head, body) = request.into_parts();
        let media = body::media(&head.headers)?;
        desk.admit()?;
        let body = desk.bodies.receive(body).await?;
        let rendition = negotiate::rendition(&head.headers, desk.parts.settings.default_rendition);
        let query = head.uri.query().unwrap_or_default().to_owned();
        let is_compile = head.uri.path().ends_with("/compile");
        let shadow = desk.parts.shadow.as_ref().filter(|_| is_compile);
        let copy = shadow.and_then(|shadow| shadow.copy(&head, &body.bytes));
        Ok(Self { call: Call::of(&head)?, query, media, rendition, body, copy })
    }
}

impl Order {
    /// What the shadow will be asked, which is nothing for most.
    fn watched(&mut self) -> Option<Watched> {
        Watched::new(self.copy.take(), &self.call, self.rendition)
    }

    /// The request in the body.
    pub(super) fn read(&self) -> Result<Draft, RequestError> {
        match self.media {
            Media::Json => wire::request::json(&self.body.bytes).map(|draft| draft.heeding(&self.query)),
            Media::Other => wire::request::text(&self.body.bytes, &self.query),
        }
    }
}

impl<W: Workshop> Desk<W> {
    pub(super) fn admit(&self) -> Result<(), Rejection> {
        if self.parts.gate.opening() < Opening::Refusing {
            return Ok(());
        }
        Err(Rejection::new(Class::Draining, "this worker is stopping, ask another"))
    }

    /// Answers an order: from memory if the very same was answered before, else by the engine. Only a form leaves it to
    /// the body to name the compiler.
    async fn answer(
        &self,
        order: Order,
        id: Option<String>,
        read: impl FnOnce(&Order) -> Result<Draft, RequestError>,
    ) -> Result<Reply, Rejection> {
        let key = self.key(&order, id.as_deref());
        if let Some(reply) = self.recall(&key, order.rendition).await {
            return Ok(reply);
        }
        let draft = read(&order)?;
        let Order { call, rendition, body, .. } = order;
        // The bytes are read, but the request made of them takes as much: their room stays taken until it is answered.
        let _room = body.room();
        let id = id.or_else(|| draft.compiler.clone()).unwrap_or_default();
        call.asks(id.clone());
        let compiler = self.find(&draft, &id)?;
        let request = draft.finish(W::split)?;
        let deadline = self.deadline(&call);
        let job = Job {
            key,
            compiler,
            request,
            rendition,
            deadline,
            waited: call.waited.clone(),
            terms: Terms::Held,
        };
        Ok(self.answered(self.make(job, &call.id).await?, rendition))
    }

    /// The digest of an order.
    fn key(&self, order: &Order, id: Option<&str>) -> W::Key {
        self.parts.workshop.key(&[
            id.unwrap_or_default().as_bytes(),
            order.query.as_bytes(),
            &[order.rendition as u8, order.media as u8],
            &order.body.bytes,
        ])
    }

    /// The reply to an order that was answered here before.
    async fn recall(&self, key: &W::Key, rendition: Rendition) -> Option<Reply> {
        Some(self.answered(self.parts.workshop.recall(key).await?, rendition))
    }

    /// Has the engine do a job, for no longer than the caller waits.
    async fn make(&self, job: Job<W>, id: &RequestId) -> Result<Answer, Rejection> {
        let deadline = job.deadline.instant();
        match timeout_at(deadline, self.parts.workshop.compile(job)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) if failure.class != Class::Expired => Err(failure.into()),
            Ok(Err(_)) | Err(_) => {
                let seconds = self.parts.settings.answer_within.as_secs();
                let message = format!(
                    "Compilation timeout: No response received within {seconds} seconds for GUID: {id}"
                );
                Err(Rejection::new(Class::Expired, message))
            }
        }
    }

    /// Answers a project build. No compiler here links, and this is how one that does not has always answered.
    fn build(&self, order: &Order, id: &str) -> Result<Reply, Rejection> {
        if order.media != Media::Json {
            return Err(RequestError::Missing("files").into());
        }
        let draft = wire::request::json(&order.body.bytes)?;
        self.find(&draft, id)?;
        if !draft.has_files {
            return Err(RequestError::Missing("files").into());
        }
        draft.finish(W::split)?;
        let body = wire::result::refusal("Compiler does not support compiling to binaries");
        let facts = Facts { job: JobStatus::Rejected, cached: false };
        Ok(marked(reply::reply(StatusCode::OK, JSON, body), facts))
    }

    fn answered(&self, answer: Answer, rendition: Rendition) -> Reply {
        let mut reply = Reply::new(reply::pieces(answer.body));
        reply.headers_mut().insert(CONTENT_TYPE, content_type(rendition));
        marked(self.timed(reply), Facts { job: answer.status, cached: answer.cached })
    }

    /// The reply, with a bound on how long its client may take to read it if it is large: its body takes room from others.
    pub(super) fn timed(&self, mut reply: Reply) -> Reply {
        if reply::length(reply.body()) >= LARGE {
            reply.extensions_mut().insert(ReadBy(Instant::now() + self.parts.settings.read_within));
        }
        reply
    }

    fn find(&self, draft: &Draft, id: &str) -> Result<W::Compiler, Rejection> {
        let compiler = self.parts.workshop.find(draft.language(), id);
        compiler.ok_or_else(|| Rejection::no_compiler(id))
    }
}

/// How a rendition calls itself.
pub(super) fn content_type(rendition: Rendition) -> HeaderValue {
    match rendition {
        Rendition::Json => JSON,
        Rendition::Text => TEXT,
    }
}

/// The reply, saying how the job ended to the client and to the closing event.
pub(super) fn marked(mut reply: Reply, facts: Facts) -> Reply {
    reply.headers_mut().insert(JOB_STATUS, HeaderValue::from_static(facts.job.as_str()));
    reply.extensions_mut().insert(facts);
    reply
}
