//! Asks a second service what it would have answered, and compares: a migration is decided on figures.
//!
//! ```text
//! request ─┬──────────────► our reply ─► client
//!          └ copy (a share)     │
//!                 └─────────────┴─► the other service ─ compare ─► counted, sampled
//! ```
//!
//! No client waits for it or can tell that it happened. A copy is made only where there is room for it, so the other
//! service is never asked for more than a few things at once, and is asked when our own reply stands: what it costs us is
//! then known, and nothing is compared that we could not answer. A copy that came from a shadow is not copied again.
//!
//! Times are those of the making: ours from the request's last byte to the reply, theirs from the first byte of the copy
//! to the last of the answer, the way there and back included. What either side only remembered was made at another time,
//! and is left out. Whether a request is copied does not depend on how long it takes; but while every place is taken by
//! slow ones nothing is, so slow times leave fewer traces than quick ones. What was passed over for that is counted: as
//! long as that is next to nothing, the sample is fair, and a lower share makes it so.

mod compare;
mod sample;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::request::Parts as Head;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

pub use self::compare::{Difference, Side, What};
use self::sample::{Album, Sample};
use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::domain::trace::TraceId;
use crate::lifecycle::{self, Lifecycle};
use crate::relay::forward::{self, Forward};

/// Bytes of the largest request that is copied. Larger ones are few, and a copy outlives its request.
const LARGEST_REQUEST: usize = 1024 * 1024;
/// Bytes of the largest reply that is compared, on either side. Larger ones take room from others while they wait.
pub const LARGEST_REPLY: usize = 4 * 1024 * 1024;

/// What the owner chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowSettings {
    /// The other service, as far as its paths are like ours: `https://old.example` or `http://balancer/prod`.
    pub service: Uri,
    /// Which part of all requests is copied, from 0 to 1.
    pub share: f64,
    /// Copies at once; what would be one more is not made.
    pub at_once: usize,
    /// How long the other service may take.
    pub patience: Duration,
    /// Directory for examples of what differs, with the sources that clients sent; without one none are kept.
    pub samples: Option<PathBuf>,
}

/// What became of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A client would have seen the same.
    Same,
    /// A client would have seen something else.
    Different(Vec<Difference>),
    /// The other service gave no answer that could be compared.
    Failed,
}

/// A comparison that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// What it showed.
    pub verdict: Verdict,
    /// How long either took, if both made their answers for this request.
    pub times: Option<Times>,
}

/// How long the two services took for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// We, from the request's last byte to the reply.
    pub ours: Duration,
    /// The other, from our asking to the last byte of its answer.
    pub theirs: Duration,
}

/// What a shadow is made of.
pub struct Parts {
    /// The owner's choices.
    pub settings: ShadowSettings,
    /// The way to other services.
    pub forward: Forward,
    /// Comparisons end with the work.
    pub lifecycle: Lifecycle,
    /// Told of each comparison.
    pub observe: Box<dyn Fn(&Compared) + Send + Sync>,
    /// Told of each request that was to be copied and found no room.
    pub pass_over: Box<dyn Fn() + Send + Sync>,
}

/// The way to the other service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shadow(Arc<Stage>);

#[derive(Debug)]
struct Stage {
    parts: Parts,
    room: Arc<Semaphore>,
    album: Option<Album>,
}

/// A request that will be asked again.
#[derive(Debug)]
pub struct Copy {
    path_and_query: String,
    content_type: Option<HeaderValue>,
    body: Bytes,
    /// When the request's last byte had come.
    received: Instant,
    _place: OwnedSemaphorePermit,
}

/// Our own reply to it.
#[derive(Debug, Clone)]
pub struct Ours {
    /// What the request is called.
    pub id: RequestId,
    /// The trace that it is part of.
    pub trace: Option<TraceId>,
    /// Its HTTP status.
    pub status: u16,
    /// Its body, unpacked.
    pub body: Bytes,
    /// Whether that is text rather than JSON.
    pub is_text: bool,
    /// Whether it was remembered.
    pub remembered: bool,
}

/// The other service's reply.
struct Theirs {
    status: u16,
    body: Bytes,
}

impl Verdict {
    /// The name in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different(_) => "different",
            Self::Failed => "failed",
        }
    }

    /// In what the answers differ.
    pub fn differences(&self) -> impl Iterator<Item = What> {
        let found: &[Difference] = if let Self::Different(found) = self { found } else { &[] };
        found.iter().map(|difference| difference.what)
    }
}

impl Shadow {
    /// A way to the service that the settings name. Asks nothing yet.
    pub fn new(parts: Parts) -> Self {
        let room = Arc::new(Semaphore::new(parts.settings.at_once));
        let album = parts.settings.samples.clone().map(Album::new);
        Self(Arc::new(Stage { parts, room, album }))
    }

    /// A copy of a request that has just been received whole, if it is one of those that are copied.
    pub fn copy(&self, head: &Head, body: &Bytes) -> Option<Copy> {
        let passed = fastrand::f64() >= self.0.parts.settings.share;
        if passed || body.len() > LARGEST_REQUEST || head.headers.contains_key(forward::FORWARDED) {
            return None;
        }
        let Ok(place) = Arc::clone(&self.0.room).try_acquire_owned() else {
            (self.0.parts.pass_over)();
            return None;
        };
        let path_and_query = head.uri.path_and_query()?.as_str().to_owned();
        let content_type = head.headers.get(CONTENT_TYPE).cloned();
        let received = Instant::now();
        Some(Copy { path_and_query, content_type, body: body.clone(), received, _place: place })
    }

    /// Asks the other service, and compares its answer with ours, which was made just now. Returns at once.
    pub fn compare(&self, copy: Copy, ours: Ours) {
        let (stage, took) = (Arc::clone(&self.0), copy.received.elapsed());
        drop(self.0.parts.lifecycle.accompany("shadow", async move { stage.play(copy, ours, took).await }));
    }
}

impl Stage {
    async fn play(self: Arc<Self>, copy: Copy, ours: Ours, took: Duration) {
        let asked = Instant::now();
        let answer = self.ask(&copy, ours.is_text).await;
        let theirs = asked.elapsed();
        let compared = match answer {
            Ok(answer) => {
                let (verdict, made) = Arc::clone(&self).judge(copy, ours, answer).await;
                let counts = made && verdict != Verdict::Failed;
                Compared { verdict, times: counts.then_some(Times { ours: took, theirs }) }
            }
            Err(error) => {
                tracing::warn!(request.id = %ours.id, trace.id = ours.trace.map(display), error, "the shadow did not answer");
                Compared { verdict: Verdict::Failed, times: None }
            }
        };
        (self.parts.observe)(&compared);
    }

    async fn ask(&self, copy: &Copy, is_text: bool) -> Result<Theirs, String> {
        let deadline = Deadline::at(Instant::now() + self.parts.settings.patience);
        let service = join(&self.parts.settings.service, &copy.path_and_query)?;
        let mut request = Request::post(&service).body(()).map_err(|error| error.to_string())?;
        let accept = if is_text { "text/plain" } else { "application/json" };
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(content_type) = &copy.content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        let (mut head, ()) = request.into_parts();
        // The service's address has it already.
        head.uri = Uri::from_static("/");
        let body = Full::new(copy.body.clone());
        let forward = &self.parts.forward;
        let response = forward.send(&service, "compile", &head, body, deadline).await;
        let response = response.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST_REPLY).collect().await;
        Ok(Theirs { status, body: body.map_err(|error| error.to_string())?.to_bytes() })
    }

    /// The verdict, and whether both made their answers for this request. Listings can be large: they are read away from
    /// the async threads.
    async fn judge(self: Arc<Self>, copy: Copy, ours: Ours, theirs: Theirs) -> (Verdict, bool) {
        let judged = lifecycle::blocking("compare with the shadow", move || {
            // What is refused, nobody makes; what came by way of the queue says in its body alone that it was remembered.
            let made = ours.status.max(theirs.status) < 400
                && !ours.remembered
                && ![&ours.body, &theirs.body].map(|body| compare::is_remembered(body)).contains(&true);
            (self.look(&copy, &ours, &theirs), made)
        });
        judged.await.unwrap_or((Verdict::Failed, false))
    }

    fn look(&self, copy: &Copy, ours: &Ours, theirs: &Theirs) -> Verdict {
        let our_side = Side { status: ours.status, body: &ours.body };
        let their_side = Side { status: theirs.status, body: &theirs.body };
        // A service in trouble says nothing about the migration.
        if theirs.status >= 500 {
            tracing::warn!(request.id = %ours.id, trace.id = ours.trace.map(display), status = theirs.status, "the shadow failed");
            return Verdict::Failed;
        }
        let compared = if ours.is_text {
            Ok(compare::texts(our_side, their_side))
        } else {
            compare::results(our_side, their_side)
        };
        match compared {
            Ok(differences) if differences.is_empty() => Verdict::Same,
            Ok(differences) => {
                self.note(copy, ours, theirs, &differences);
                Verdict::Different(differences)
            }
            Err(error) => {
                tracing::warn!(request.id = %ours.id, trace.id = ours.trace.map(display), %error, "the shadow's answer cannot be compared");
                Verdict::Failed
            }
        }
    }

    /// What differs, without a word of what the client wrote; the whole of it only where the owner keeps samples.
    fn note(&self, copy: &Copy, ours: &Ours, theirs: &Theirs, differences: &[Difference]) {
        let places: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let places = places.join(", ");
        let kept = self.album.as_ref().and_then(|album| {
            let sample = Sample { copy, ours, theirs, differences: &places };
            album.keep(&sample).inspect_err(|error| tracing::warn!(%error, "could not keep a sample")).ok()
        });
        let kept = kept.map(|path| path.display().to_string());
        tracing::info!(request.id = %ours.id, trace.id = ours.trace.map(display), differences = places, file = kept, "the shadow answered otherwise");
    }
}

/// The service's address for a path of ours.
fn join(service: &Uri, path_and_query: &str) -> Result<Uri, String> {
    let mut parts = service.clone().into_parts();
    let base = service.path().trim_end_matches('/');
    parts.path_and_query =
        Some(format!("{base}{path_and_query}").parse().map_err(|error| format!("{error}"))?);
    Uri::from_parts(parts).map_err(|error| error.to_string())
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.as_str())?;
        self.line.map_or(Ok(()), |line| write!(f, " at line {line}"))
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_services_own() {
        for (service, path, expected) in [
            (
                "https://old.example",
                "/api/compiler/g/compile?a=1",
                "https://old.example/api/compiler/g/compile?a=1",
            ),
            (
                "http://b:8080/prod/",
                "/api/compiler/g%20x/compile",
                "http://b:8080/prod/api/compiler/g%20x/compile",
            ),
        ] {
            assert_eq!(join(&service.parse().unwrap(), path).unwrap(), expected, "{service}");
        }
    }
}
