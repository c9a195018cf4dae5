//! The compile routes: a body in, an answer or a rejection out.

use http::header::HeaderValue;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use tokio::time::timeout_at;

use super::body::{self, Media};
use super::reject::{JOB_STATUS, Rejection};
use super::routes::Route;
use super::workshop::{Job, Workshop};
use super::{Call, Door, negotiate};
use crate::domain::class::Class;
use crate::domain::limits::Deadline;
use crate::domain::result::JobStatus;
use crate::doors::reply::{self, JSON, Payload, Reply, TEXT};
use crate::doors::server::Opening;
use crate::engine::{Answer, Rendition};
use crate::wire;
use crate::wire::request::{Draft, RequestError};

/// The project build systems a client may name.
const BUILD_SYSTEMS: [&str; 4] = ["cmake", "cargo", "maven", "make"];

impl<W: Workshop> Door<W> {
    /// Answers a compile: from memory if the very same request was answered before, else by the engine.
    pub(super) async fn compile(
        &self,
        call: &mut Call<'_>,
        headers: &HeaderMap,
        incoming: Incoming,
    ) -> Result<Reply, Rejection> {
        let media = body::media(headers)?;
        self.admit()?;
        let body = self.0.bodies.receive(incoming).await?;
        let rendition = negotiate::rendition(headers, self.0.parts.settings.default_rendition);
        let key = self.0.parts.workshop.key(&[
            call.route.name().as_bytes(),
            call.route.compiler().unwrap_or_default().as_bytes(),
            call.query.as_bytes(),
            &[rendition as u8, media as u8],
            &body.bytes,
        ]);
        if let Some(answer) = self.0.parts.workshop.recall(&key) {
            return Ok(answered(call, answer, rendition));
        }
        let draft = match (&call.route, media) {
            (Route::Noscript, _) => wire::request::form(&body.bytes)?,
            (_, Media::Json) => wire::request::json(&body.bytes)?,
            (_, Media::Other) => wire::request::text(&body.bytes, call.query)?,
        };
        drop(body);
        let (compiler, id) = self.find(call, &draft)?;
        call.compiler = Some(id);
        let request = draft.finish(W::split)?;
        let deadline = Deadline::at(call.arrived + self.0.parts.settings.answer_within);
        let job = Job { key, compiler, request, rendition, deadline };
        let answer = timeout_at(deadline.instant(), self.0.parts.workshop.compile(job)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answered(call, answer, rendition)),
            Ok(Err(failure)) if failure.class != Class::Expired => Err(failure.into()),
            Ok(Err(_)) | Err(_) => Err(self.expired(call)),
        }
    }

    /// Answers a project build. No compiler here links, and this is how one that does not has always answered.
    pub(super) async fn build(
        &self,
        call: &mut Call<'_>,
        headers: &HeaderMap,
        incoming: Incoming,
    ) -> Result<Reply, Rejection> {
        if let Route::Build { system, .. } = &call.route
            && !BUILD_SYSTEMS.contains(&system.as_ref())
        {
            return Err(Rejection::new(Class::Unknown, format!("Unknown build system '{system}'")));
        }
        let media = body::media(headers)?;
        self.admit()?;
        let body = self.0.bodies.receive(incoming).await?;
        if media != Media::Json {
            return Err(RequestError::Missing("files").into());
        }
        let draft = wire::request::json(&body.bytes)?;
        self.find(call, &draft)?;
        if !draft.has_files {
            return Err(RequestError::Missing("files").into());
        }
        draft.finish(W::split)?;
        let body = wire::result::refusal("Compiler does not support compiling to binaries");
        Ok(marked(call, reply::reply(StatusCode::OK, JSON, body), JobStatus::Rejected))
    }

    fn admit(&self) -> Result<(), Rejection> {
        if self.0.parts.gate.opening() < Opening::Refusing {
            return Ok(());
        }
        Err(Rejection::new(Class::Draining, "this worker is stopping, ask another"))
    }

    fn find(&self, call: &Call<'_>, draft: &Draft) -> Result<(W::Compiler, String), Rejection> {
        let id = call.route.compiler().or(draft.compiler.as_deref()).unwrap_or_default();
        let compiler = self.0.parts.workshop.find(draft.language(), id);
        match compiler {
            Some(compiler) => Ok((compiler, id.to_owned())),
            None => Err(Rejection::new(Class::Unknown, format!("Not Found: there is no compiler {id:?}"))),
        }
    }

    fn expired(&self, call: &Call<'_>) -> Rejection {
        let seconds = self.0.parts.settings.answer_within.as_secs();
        let id = &call.id;
        let message =
            format!("Compilation timeout: No response received within {seconds} seconds for GUID: {id}");
        Rejection::new(Class::Expired, message)
    }
}

fn answered(call: &mut Call<'_>, answer: Answer, rendition: Rendition) -> Reply {
    call.cached = answer.cached;
    let content_type = match rendition {
        Rendition::Json => JSON,
        Rendition::Text => TEXT,
    };
    let mut reply = Reply::new(Payload::from(answer.body));
    reply.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    marked(call, reply, answer.status)
}

fn marked(call: &mut Call<'_>, mut reply: Reply, status: JobStatus) -> Reply {
    call.job = Some(status);
    reply.headers_mut().insert(JOB_STATUS, HeaderValue::from_static(status.as_str()));
    reply
}
