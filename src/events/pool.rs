//! The connections: each place in the pool is kept filled for ever, and its connection replaced before it grows old.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::events::Settings;
use crate::events::board::Board;
use crate::events::dial::{Dialer, Socket};
use crate::events::link::Link;
use crate::events::pace::{Pace, rotation};
use crate::events::socket::{self, End, Rules};
use crate::lifecycle::Lifecycle;

/// Largest message and frame read from the hub, in bytes (reliability, annex A).
const LARGEST_HEARD: usize = 1024 * 1024;

/// What every place of one pool shares.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) board: Arc<Board>,
    pub(super) dialer: Dialer,
    pub(super) settings: Settings,
    pub(super) lifecycle: Lifecycle,
}

/// A connection that stands, as its place holds it.
struct Standing {
    link: Arc<Link>,
    /// Ends with the connection.
    over: JoinHandle<End>,
    born: Instant,
    /// Its drop has the connection closed after [`Settings::linger`], or at the end of all work.
    _leave: oneshot::Sender<()>,
}

impl Pool {
    /// Keeps place `index` filled, for ever.
    pub(super) async fn keep(self, index: u32) {
        let (mut pace, mut first) = (Pace::default(), true);
        let mut current = self.establish(&mut pace, None).await;
        loop {
            let places = (index, self.settings.connections);
            let age = rotation(self.settings.rotation, places, std::mem::take(&mut first), fastrand::f64());
            let dead = tokio::select! {
                end = &mut current.over => Some(end),
                () = sleep_until(current.born + age) => None,
            };
            if dead.is_none() {
                // Make, then break. Should the old one die meanwhile, its subscriptions have moved already.
                current = self.establish(&mut pace, Some(&current.link)).await;
                tracing::debug!(place = index, "replaced a connection to the events hub before its time");
                continue;
            }
            let end = dead.and_then(Result::ok).unwrap_or(End::Broken("its task is gone".to_owned()));
            // Its task has done so itself, unless it panicked.
            self.board.fall(&current.link, &end);
            tracing::warn!(place = index, %end, "lost a connection to the events hub");
            pace.failed(current.born.elapsed());
            current = self.establish(&mut pace, None).await;
        }
    }

    /// Dials until a connection stands. Nothing is awaited once it does, so a drop never loses one.
    async fn establish(&self, pace: &mut Pace, replaced: Option<&Link>) -> Standing {
        loop {
            sleep(pace.wait(fastrand::f64())).await;
            match self.dialer.dial(self.rules()).await {
                Ok(socket) => return self.begin(socket, replaced),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, ?cause, "could not reach the events hub");
                    pace.failed(Duration::ZERO);
                }
            }
        }
    }

    /// Puts a connection to use.
    fn begin(&self, socket: Socket, replaced: Option<&Link>) -> Standing {
        let (link, feed) = Link::new(self.board.number(), self.settings.line);
        let link = Arc::new(link);
        self.board.stand(&link, replaced);
        let (leave, left) = oneshot::channel::<()>();
        let (board, own) = (Arc::clone(&self.board), Arc::clone(&link));
        let (rules, linger, ending) = (self.rules(), self.settings.linger, self.lifecycle.ending());
        let life = async move {
            let replaced = async {
                // Nothing is ever sent: that the place has dropped its end is the message.
                let _dropped = left.await.is_err();
                sleep(linger).await;
            };
            let leave = async {
                tokio::select! { () = replaced => {}, () = ending => {} }
                CloseCode::Normal
            };
            let end = socket::live(socket, feed, rules, |text| board.hear(&own, text), leave).await;
            board.fall(&own, &end);
            end
        };
        let over = self.lifecycle.attend("events connection", Box::pin(life));
        Standing { link, over, born: Instant::now(), _leave: leave }
    }

    fn rules(&self) -> Rules {
        Rules {
            largest_message: LARGEST_HEARD,
            largest_frame: LARGEST_HEARD,
            fragment: self.settings.fragment,
            quiet: self.settings.ping,
            pong: self.settings.pong,
            stall: self.settings.pong,
        }
    }
}
