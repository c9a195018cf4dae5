//! The operator's pause, kept where a restart finds it.
//!
//! It is a file, and what counts is that it is there: so it is whole or absent, whenever the process or the machine ends,
//! and nothing in it can be broken. Whatever else is in its place, or keeps us from looking, counts as a pause too, and is
//! told to the log: who has set a machine aside must never find it at work, and one that idles is seen and mended soon.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file.
const NAME: &str = "paused";

/// A directory that outlives the process.
#[derive(Debug, Clone)]
pub struct Memory(PathBuf);

impl Memory {
    /// The memory in this directory.
    pub fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Where a pause is kept.
    pub fn file(&self) -> PathBuf {
        self.0.join(NAME)
    }

    /// Whether there is a pause. Blocks.
    pub fn is_paused(&self) -> bool {
        let file = self.file();
        match fs::symlink_metadata(&file) {
            Ok(found) if found.is_file() => true,
            Ok(_) => {
                tracing::error!(file = %file.display(), "is no file, and counts as a pause; remove it, then resume");
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                let (file, error) = (file.display(), &error as &dyn std::error::Error);
                tracing::error!(%file, error, "cannot be looked for, which counts as a pause; mend that, then resume");
                true
            }
        }
    }

    /// Keeps a pause, or that there is none. Afterwards it holds even if the machine loses its power. Blocks.
    pub fn keep(&self, paused: bool) -> io::Result<()> {
        let file = self.file();
        if paused {
            let new = file.with_extension("new");
            let mut writer = File::create(&new)?;
            writeln!(writer, "Takes nothing from its queue since {:.0}.", jiff::Timestamp::now())?;
            writer.sync_all()?;
            fs::rename(new, file)?;
        } else {
            match fs::remove_file(file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                removed => removed?,
            }
        }
        sync(&self.0)
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_pause_is_kept_until_it_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(directory.path().to_owned());
        assert!(!memory.is_paused());
        memory.keep(false).unwrap();
        for _ in 0..2 {
            memory.keep(true).unwrap();
            assert!(Memory::new(directory.path().to_owned()).is_paused());
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
        memory.keep(false).unwrap();
        assert!(!memory.is_paused());
    }

    #[test]
    fn what_cannot_be_understood_is_a_pause() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(directory.path().to_owned());
        for text in ["", "\0\u{fffd}garbage", "false"] {
            fs::write(memory.file(), text).unwrap();
            assert!(memory.is_paused(), "{text:?}");
        }
        memory.keep(false).unwrap();
        symlink("/nowhere", memory.file()).unwrap();
        assert!(memory.is_paused());
        memory.keep(false).unwrap();
        fs::create_dir(memory.file()).unwrap();
        assert!(memory.is_paused());
        assert!(
            memory.keep(false).is_err() && memory.keep(true).is_err(),
            "a directory is not ours to remove"
        );
        // A file where a directory should be: nobody can look.
        let memory = Memory::new(directory.path().join("paused.new"));
        assert!(memory.is_paused());
    }

    #[test]
    fn without_its_directory_nothing_is_kept_and_nobody_pretends() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(directory.path().join("absent"));
        assert!(!memory.is_paused());
        assert!(memory.keep(true).is_err());
        memory.keep(false).unwrap();
    }
}
