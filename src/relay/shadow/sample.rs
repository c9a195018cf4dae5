//! Examples of what differs, kept for whoever has to decide whether that matters.
//!
//! Files are numbered in a circle, so that they never fill a disk; each is whole or not there.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{Copy, Ours, Theirs};

/// Examples kept; the oldest gives way.
const MOST: usize = 100;
/// Bytes kept of a body.
const LARGEST_PART: usize = 1024 * 1024;

/// A directory of examples.
#[derive(Debug)]
pub(super) struct Album {
    directory: PathBuf,
    next: AtomicUsize,
}

/// One example.
pub(super) struct Sample<'a> {
    pub(super) copy: &'a Copy,
    pub(super) ours: &'a Ours,
    pub(super) theirs: &'a Theirs,
    pub(super) differences: &'a str,
}

impl Album {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, next: AtomicUsize::new(0) }
    }

    /// Writes an example; tells where.
    pub(super) fn keep(&self, sample: &Sample<'_>) -> io::Result<PathBuf> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % MOST;
        let path = self.directory.join(format!("difference-{number:02}.json"));
        fs::create_dir_all(&self.directory)?;
        // Two writers of one number are a hundred examples apart; the later one's whole file stays.
        let draft = path.with_extension("new");
        fs::write(&draft, sample.render())?;
        fs::rename(&draft, &path)?;
        Ok(path)
    }
}

impl Sample<'_> {
    fn render(&self) -> Vec<u8> {
        let Self { copy, ours, theirs, differences } = self;
        let content_type = copy.content_type.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let value = json!({
            "when": jiff::Timestamp::now().to_string(),
            "requestId": ours.id.as_str(),
            "differences": differences,
            "request": { "target": copy.path_and_query, "contentType": content_type, "body": text(&copy.body) },
            "ours": { "status": ours.status, "body": text(&ours.body) },
            "theirs": { "status": theirs.status, "body": text(&theirs.body) },
        });
        value.to_string().into_bytes()
    }
}

/// A body as text, or the beginning of it.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(LARGEST_PART)]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::domain::ids::RequestId;

    #[test]
    fn examples_are_whole_and_go_round() {
        let directory = tempfile::tempdir().unwrap();
        let album = Album::new(directory.path().join("shadow"));
        let copy = |bytes: usize| Copy {
            path_and_query: "/api/compiler/g/compile".to_owned(),
            content_type: None,
            body: Bytes::from(vec![b'x'; bytes]),
            received: tokio::time::Instant::now(),
            _place: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        };
        let ours = Ours {
            id: RequestId::parse("r-1").unwrap(),
            trace: None,
            status: 200,
            body: Bytes::from_static(b"{}"),
            is_text: false,
            remembered: false,
        };
        let theirs = Theirs { status: 404, body: Bytes::from_static(b"\xff") };
        let keep = |bytes| {
            let sample = Sample { copy: &copy(bytes), ours: &ours, theirs: &theirs, differences: "status" };
            album.keep(&sample).unwrap()
        };
        let paths: Vec<PathBuf> = (1..=MOST).chain([LARGEST_PART + 1]).map(keep).collect();
        assert_eq!(paths[0], paths[MOST]);
        assert_eq!(
            fs::read_dir(directory.path().join("shadow")).unwrap().count(),
            MOST,
            "no drafts are left"
        );
        let kept: serde_json::Value = serde_json::from_slice(&fs::read(&paths[0]).unwrap()).unwrap();
        assert_eq!((&kept["requestId"], &kept["theirs"]["status"]), (&json!("r-1"), &json!(404)));
        assert_eq!(kept["request"]["body"].as_str().unwrap().len(), LARGEST_PART);
    }
}
