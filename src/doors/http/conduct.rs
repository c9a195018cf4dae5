//! What every request goes through, wherever it leads.
//!
//! ```text
//! request id ─ panic fence ─ handler ─ rejection's body ─ pack ─ headers every reply has ─ closing event
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONNECTION, HeaderValue, VARY,
};
use http::request;
use http::{HeaderMap, HeaderName, Method, Response};
use tokio::time::Instant;
use tracing::field::DisplayValue;

use super::elsewhere::Forwarded;
use super::reject::{Rejection, Shape};
use super::router::{Kind, NOWHERE, Place};
use super::{Desk, GONE, Served, Shared, encode, negotiate};
use crate::domain::class::Class;
use crate::domain::ids::{self, RequestId};
use crate::domain::result::JobStatus;
use crate::domain::trace::{self, Sampling, TraceContext, TraceId, Traced};
use crate::doors::reply::{self, Reply};
use crate::doors::server::{Opening, Refusal};
use crate::doors::trace_of;
use crate::doors::workshop::Workshop;
use crate::engine::Waited;
use crate::lifecycle::panic_message;

/// The name of a request, given by the caller or by us, on every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What traces call a method that few know.
const OTHER: &str = "_OTHER";

/// One request, as its handler knows it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: RequestId,
    /// Its place in the trace that it is part of.
    pub(super) traced: Option<Traced>,
    pub(super) arrived: Instant,
    method: &'static str,
    /// The compiler, as the caller called it.
    compiler: Arc<OnceLock<String>>,
    /// How long it waited for a slot.
    pub(super) waited: Waited,
}

/// What the closing event tells of a job. Travels as an extension of its reply.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) job: JobStatus,
    pub(super) cached: bool,
}

/// How a call ended.
struct Ending {
    class: Option<Class>,
    facts: Option<Facts>,
    bytes: usize,
}

/// A request without a reply yet. Dropped as such, it tells that its caller has left.
struct Unanswered<'a, W> {
    desk: &'a Desk<W>,
    place: Place,
    call: &'a Call,
    answered: bool,
}

/// Leads one request to its place and back.
pub(super) async fn conduct<W: Workshop>(
    State((desk, place)): State<(Shared<W>, Place)>,
    request: Request,
    next: Next,
) -> Reply {
    let call = Call {
        traced: traced(request.headers(), place, desk.parts.settings.sampling),
        method: known(request.method()),
        ..Call::begin(request_id(request.headers()))
    };
    let coding = negotiate::coding(request.headers());
    let mut unanswered = Unanswered { desk: &desk, place, call: &call, answered: false };
    // Thousands of requests may wait here: none is stored twice.
    let handler = pin!({
        let mut request = request;
        request.extensions_mut().insert(call.clone());
        next.run(request)
    });
    let mut reply = fenced(handler).await;
    let (mut reply, class, facts) = match reply.extensions_mut().remove::<Rejection>() {
        None if reply.extensions().get::<Forwarded>().is_some() => (reply, None, None),
        None => {
            let facts = reply.extensions_mut().remove();
            (encode::pack(reply, coding).await, None, facts)
        }
        Some(rejection) => {
            let shape = if place.kind == Kind::Compile { Shape::Compile } else { Shape::Plain };
            let (reply, class, job) = (rejected(&rejection, shape, &call), rejection.class, rejection.job());
            let facts = Facts { job, cached: false };
            (reply.map(Body::from), Some(class), (shape == Shape::Compile).then_some(facts))
        }
    };
    unanswered.answered = true;
    let bytes = reply::length(reply.body());
    desk.finish(&mut reply, place, &call, &Ending { class, facts, bytes });
    reply
}

impl<W> Drop for Unanswered<'_, W> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let served = Served {
            job: (self.place.kind == Kind::Compile).then_some(JobStatus::Cancelled),
            ..self.call.over(self.place, GONE)
        };
        close(&served);
        (self.desk.parts.observe)(served);
    }
}

impl Call {
    fn begin(id: RequestId) -> Self {
        let (compiler, waited) = (Arc::default(), Waited::default());
        Self { id, traced: None, arrived: Instant::now(), method: OTHER, compiler, waited }
    }

    /// Its trace, as the log has it.
    pub(super) fn trace(&self) -> Option<DisplayValue<TraceId>> {
        trace_of(self.traced)
    }

    /// Notes the compiler that is asked for.
    pub(super) fn asks(&self, mut compiler: String) {
        compiler.truncate(ids::shortened(&compiler).len());
        let _only_one_is_asked_for = self.compiler.set(compiler);
    }

    /// Notes the compiler that `request` is for, whatever becomes of it.
    pub(super) fn note(request: &Request, compiler: &str) {
        if let Some(call) = request.extensions().get::<Self>() {
            call.asks(compiler.to_owned());
        }
    }

    /// What became of the call, as far as it knows.
    fn over(&self, place: Place, status: u16) -> Served {
        Served {
            id: self.id.clone(),
            traced: self.traced,
            method: self.method,
            route: place.name,
            path: place.path,
            compiler: self.compiler.get().cloned(),
            status,
            class: None,
            job: None,
            cached: false,
            bytes: 0,
            work: self.waited.work(self.arrived),
            duration: self.arrived.elapsed(),
        }
    }

    /// The call whose request starts with `head`.
    pub(super) fn of(head: &request::Parts) -> Result<Self, Rejection> {
        let call = head.extensions.get().cloned();
        call.ok_or_else(|| Rejection::new(Class::Internal, "a request came past its conductor"))
    }
}

impl<W: Workshop> Desk<W> {
    /// The last reply on a connection whose request could not even be received.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response<Vec<u8>> {
        let (call, rejection) = (Call::begin(RequestId::mint()), Rejection::from(refusal));
        let mut reply = rejected(&rejection, Shape::Plain, &call);
        let bytes = reply.body().len();
        self.finish(&mut reply, NOWHERE, &call, &Ending { class: Some(rejection.class), facts: None, bytes });
        reply
    }

    /// Dresses the reply, and tells who wants to know what became of the request.
    fn finish<B>(&self, reply: &mut Response<B>, place: Place, call: &Call, ending: &Ending) {
        let public = place.kind != Kind::Upkeep && reply.status().is_success();
        let forwarded = reply.extensions().get::<Forwarded>().is_some();
        let headers = reply.headers_mut();
        dress(headers, &call.id);
        if forwarded {
            // How long it may be kept, its maker has said, or chosen not to.
        } else if public {
            headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
            headers.insert(CACHE_CONTROL, self.keep.clone());
        } else {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if self.parts.gate.opening() > Opening::Open {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let served = Served {
            class: ending.class,
            job: ending.facts.as_ref().map(|facts| facts.job),
            cached: ending.facts.as_ref().is_some_and(|facts| facts.cached),
            bytes: ending.bytes,
            ..call.over(place, reply.status().as_u16())
        };
        close(&served);
        (self.parts.observe)(served);
    }
}

/// The headers that every reply has, whatever else it says.
fn dress(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS"));
    let allowed = "Origin, X-Requested-With, Content-Type, Accept, Authorization, X-Request-Id";
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    let exposed = "X-Request-Id, X-Job-Status, Retry-After";
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
}

/// The caller's name for the request, if it is one that logs and headers can carry; else a new one.
fn request_id(headers: &HeaderMap) -> RequestId {
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte)))
        .and_then(|id| RequestId::parse(id).ok())
        .unwrap_or_else(RequestId::mint)
}

/// The request's place in its trace. What balancers and operators ask is part of none.
fn traced(headers: &HeaderMap, place: Place, sampling: Option<Sampling>) -> Option<Traced> {
    if place.kind == Kind::Upkeep {
        return None;
    }
    let told = headers.get(trace::HEADER).and_then(|value| TraceContext::parse(value.to_str().ok()?));
    Traced::begin(told, sampling, SystemTime::now)
}

/// The method by its name, if it is one that everybody knows.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| method.as_str() == *known).unwrap_or(OTHER)
}

/// Turns a panic in `handler` into a rejection: one request is lost, and nothing else.
async fn fenced(mut handler: Pin<&mut impl Future<Output = Reply>>) -> Reply {
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context))).unwrap_or_else(|panic| {
            let message = format!("a panic: {}", panic_message(panic.as_ref()));
            Poll::Ready(Rejection::new(Class::Internal, message).into_response())
        })
    })
    .await
}

/// What the caller is told of a rejection; the log is told all of it.
fn rejected(rejection: &Rejection, shape: Shape, call: &Call) -> Response<Vec<u8>> {
    let (class, error, id, trace) = (rejection.class.as_str(), rejection.message(), &call.id, call.trace());
    match rejection.class {
        Class::Internal => {
            tracing::error!(request.id = %id, trace.id = trace, class, error, "request failed");
        }
        Class::Upstream => tracing::warn!(request.id = %id, trace.id = trace, class, error, "request failed"),
        _ => tracing::debug!(request.id = %id, trace.id = trace, class, error, "request rejected"),
    }
    rejection.reply(shape, id)
}

/// The closing event. Never the source, never the arguments.
fn close(served: &Served) {
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                request.id = %served.id,
                trace.id = trace_of(served.traced),
                route = served.route,
                compiler.id = served.compiler.as_deref(),
                status = served.status,
                class = served.class.map(Class::as_str),
                job.status = served.job.map(JobStatus::as_str),
                cached = served.cached,
                bytes = served.bytes,
                waited_ms = served.work.map(|work| work.waited.as_secs_f64() * 1e3),
                duration_ms = served.duration.as_secs_f64() * 1e3,
                "{}",
                if served.status == GONE { "the caller left" } else { "answered" }
            )
        };
    }
    // Probes come every few seconds from every balancer: nobody wants to read them.
    if served.route.starts_with("health") { event!(debug) } else { event!(info) }
}
