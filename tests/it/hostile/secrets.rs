//! What no job may ever learn: planted around the daemon, and searched for in every byte it answers.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use aho_corasick::AhoCorasick;
use tempfile::TempDir;
use uuid::Uuid;

/// The planted secrets, one marker for each kind, and the place some of them lie in. The twelfth kind is what the
/// host's own files of users and passwords say.
pub(super) struct Secrets {
    place: TempDir,
    /// In the daemon's environment.
    pub(super) environment: String,
    /// In a file that the daemon may read.
    pub(super) file: String,
    /// What the cloud's metadata service tells every process of the machine.
    pub(super) metadata: String,
    /// In the daemon's own configuration.
    pub(super) settings: String,
    /// In the daemon's memory and nowhere else.
    pub(super) memory: String,
    /// In a file that the daemon holds open without knowing.
    pub(super) descriptor: String,
    /// In the source and the files of the job in the other slot.
    pub(super) neighbor: String,
    /// What that job prints and writes.
    pub(super) output: String,
    /// Left by an earlier job wherever it could write.
    pub(super) predecessor: String,
    /// What a socket of the host answers.
    pub(super) socket: String,
    /// What another request is called.
    pub(super) request: String,
    names: Vec<String>,
    search: AhoCorasick,
}

impl Secrets {
    pub(super) fn plant() -> Self {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let markers =
            ["env", "file", "imds", "config", "heap", "fd", "other", "output", "previous", "LEAK", "guid"]
                .map(|kind| format!("CANARY{kind}{}", Uuid::new_v4().simple()));
        let mut needles: Vec<(String, Vec<u8>)> = markers.iter().flat_map(|marker| forms(marker)).collect();
        // Of the host's own files: whatever the jail's substitutes do not say.
        for path in ["/etc/shadow", "/etc/passwd"] {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines = text.lines().filter(|line| line.len() > 12);
            needles.extend(lines.map(|line| (format!("{path}: {line}"), line.as_bytes().to_vec())));
        }
        let (names, needles): (Vec<_>, Vec<_>) = needles.into_iter().unzip();
        let search = AhoCorasick::new(needles).unwrap();
        let [
            environment,
            file,
            metadata,
            settings,
            memory,
            descriptor,
            neighbor,
            output,
            predecessor,
            socket,
            request,
        ] = markers;
        let secrets = Self {
            place,
            environment,
            file,
            metadata,
            settings,
            memory,
            descriptor,
            neighbor,
            output,
            predecessor,
            socket,
            request,
            names,
            search,
        };
        let configuration = format!("# The queue will be https://sqs.invalid/{}\n[http]\n", secrets.settings);
        for (path, contents) in [
            (secrets.credentials(), &secrets.file),
            (secrets.held_open(), &secrets.descriptor),
            (secrets.configuration(), &configuration),
        ] {
            fs::write(&path, contents).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
        }
        secrets
    }

    /// The file of credentials.
    pub(super) fn credentials(&self) -> PathBuf {
        self.place.path().join("credentials")
    }

    /// The daemon's configuration.
    pub(super) fn configuration(&self) -> PathBuf {
        self.place.path().join("worker.toml")
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

    /// A copy of the daemon that any user may execute.
    pub(super) fn executable(&self) -> PathBuf {
        self.place.path().join("worker")
    }

    /// Which secrets `bytes` gives away.
    pub(super) fn found_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        self.search.find_iter(bytes).map(|found| self.names[found.pattern().as_usize()].as_str()).collect()
    }
}

/// A marker as it is, and in the disguises that a job could give it.
fn forms(marker: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = marker.as_bytes();
    let hex = hexadecimal(bytes);
    // From the first character to the last, both orders of bytes look alike.
    let wide = |zero: &str| marker.chars().map(String::from).collect::<Vec<_>>().join(zero).into_bytes();
    let mut forms = vec![
        (format!("{marker} as it is"), bytes.to_vec()),
        (format!("{marker} in upper hexadecimal"), hex.to_uppercase().into_bytes()),
        (format!("{marker} in hexadecimal"), hex.into_bytes()),
        (format!("{marker} reversed"), bytes.iter().rev().copied().collect()),
        (format!("{marker} in UTF-16"), wide("\0")),
        (format!("{marker} in UTF-16 in JSON"), wide("\\u0000")),
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
    let wide: Vec<u16> = secrets.file.encode_utf16().collect();
    let spelt = serde_json::to_string(
        &String::from_utf8(wide.iter().flat_map(|unit| unit.to_le_bytes()).collect()).unwrap(),
    );
    for disguise in [
        marker.to_vec(),
        hex.into_bytes(),
        reversed,
        wide.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        wide.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
        spelt.unwrap().into_bytes(),
        base64(&[b"xyz", marker].concat()),
        base64(&[b"x", marker, b"zz"].concat()),
    ] {
        let text = [b"...".as_slice(), &disguise, b"..."].concat();
        assert!(!secrets.found_in(&text).is_empty(), "{}", String::from_utf8_lossy(&text));
    }
    assert!(secrets.found_in(b"nothing of the kind").is_empty());
}
