//! What no job may ever learn: planted around the daemon, and searched for in every byte it answers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;
use uuid::Uuid;

/// The planted secrets, one marker for each kind, and the place some of them lie in.
pub(super) struct Secrets {
    place: TempDir,
    /// In the daemon's environment.
    pub(super) environment: String,
    /// In a file that the daemon may read.
    pub(super) file: String,
    /// In a file that the daemon holds open without knowing.
    pub(super) descriptor: String,
    /// In the source and the files of the job in the other slot.
    pub(super) neighbor: String,
    /// Left by an earlier job wherever it could write.
    pub(super) predecessor: String,
    /// What a socket of the host answers.
    pub(super) socket: String,
    needles: Vec<(String, Vec<u8>)>,
}

impl Secrets {
    pub(super) fn plant() -> Self {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let marker = |kind: &str| format!("CANARY{kind}{}", Uuid::new_v4().simple());
        let markers = ["env", "file", "fd", "other", "previous", "LEAK"].map(marker);
        let mut needles: Vec<(String, Vec<u8>)> = markers.iter().flat_map(|marker| forms(marker)).collect();
        // Of the host's own files: whatever the jail's substitutes do not say.
        for path in ["/etc/shadow", "/etc/passwd"] {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines = text.lines().filter(|line| line.len() > 12);
            needles.extend(lines.map(|line| (format!("{path}: {line}"), line.as_bytes().to_vec())));
        }
        let [environment, file, descriptor, neighbor, predecessor, socket] = markers;
        let secrets = Self { place, environment, file, descriptor, neighbor, predecessor, socket, needles };
        fs::write(secrets.credentials(), &secrets.file).unwrap();
        fs::write(secrets.held_open(), &secrets.descriptor).unwrap();
        for path in [secrets.credentials(), secrets.held_open()] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
        }
        secrets
    }

    /// The file of credentials.
    pub(super) fn credentials(&self) -> PathBuf {
        self.place.path().join("credentials")
    }

    /// The file that is held open.
    pub(super) fn held_open(&self) -> PathBuf {
        self.place.path().join("open")
    }

    /// The host's socket.
    pub(super) fn socket_path(&self) -> PathBuf {
        self.place.path().join("socket")
    }

    /// The daemon's log.
    pub(super) fn log(&self) -> PathBuf {
        self.place.path().join("log")
    }

    /// Which secrets `bytes` gives away.
    pub(super) fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let found = |needle: &&(String, Vec<u8>)| memchr::memmem::find(bytes, &needle.1).is_some();
        self.needles.iter().filter(found).map(|(name, _)| name.as_str()).collect()
    }
}

/// A marker as it is, and in the disguises that a job could give it.
fn forms(marker: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = marker.as_bytes();
    let hex = hexadecimal(bytes);
    let mut forms = vec![
        (format!("{marker} as it is"), bytes.to_vec()),
        (format!("{marker} in upper hexadecimal"), hex.to_uppercase().into_bytes()),
        (format!("{marker} in hexadecimal"), hex.into_bytes()),
        (format!("{marker} reversed"), bytes.iter().rev().copied().collect()),
    ];
    // Base64 reads three bytes at a time: what it makes of a text depends on where the text begins.
    for skipped in 0..3 {
        let whole = &bytes[skipped..skipped + (bytes.len() - skipped) / 3 * 3];
        forms.push((format!("{marker} in base64"), base64(whole)));
    }
    forms
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Whole groups of three bytes only.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift & 63) as usize])
    };
    bytes.chunks_exact(3).flat_map(digits).collect()
}

#[test]
fn a_secret_is_found_in_every_disguise() {
    let secrets = Secrets::plant();
    let marker = secrets.file.as_bytes();
    let hex = hexadecimal(marker);
    let reversed: Vec<u8> = marker.iter().rev().copied().collect();
    for disguise in [
        marker.to_vec(),
        hex.into_bytes(),
        reversed,
        base64(&[b"xyz", marker].concat()),
        base64(&[b"x", marker, b"zz"].concat()),
    ] {
        let text = [b"...".as_slice(), &disguise, b"..."].concat();
        assert!(!secrets.found_in(&text).is_empty(), "{}", String::from_utf8_lossy(&text));
    }
    assert!(secrets.found_in(b"nothing of the kind").is_empty());
}
