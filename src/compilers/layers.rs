//! Which property files count, and in which order they are laid over each other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compilers::problems::Problems;
use crate::compilers::properties::{Origin, Properties};

/// Largest file that is read, in bytes. Compiler Explorer's largest is well under 1 MiB.
pub const LARGEST_FILE: u64 = 16 * 1024 * 1024;

const SUFFIX: &str = ".properties";

/// Why a catalogue could not be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A named path does not exist, or may not be looked at.
    #[error("read the catalogue path {}; name an existing directory or .properties file", path.display())]
    Path {
        /// What was named.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A named file cannot be told to be properties.
    #[error("{} is neither a directory nor a regular file called <base>.<layer>.properties", .0.display())]
    Kind(PathBuf),
}

/// The layers of one daemon, lowest first.
#[derive(Debug, PartialEq, Eq)]
pub struct Layers(Vec<String>);

impl Layers {
    /// `defaults`, each environment, each environment on this platform, the platform, the host, `local`.
    pub fn order(environments: &[String], platform: &str, host: &str) -> Self {
        let mut names = vec!["defaults".to_owned()];
        names.extend(environments.iter().cloned());
        names.extend(environments.iter().map(|environment| format!("{environment}.{platform}")));
        names.extend([platform, host, "local"].map(str::to_owned));
        for name in &mut names {
            *name = name.to_lowercase();
        }
        Self(names)
    }

    /// Where `layer` stands; a name that stands twice counts where it is highest.
    fn rank(&self, layer: &str) -> Option<usize> {
        self.0.iter().rposition(|name| *name == layer)
    }
}

/// Reads every file that counts, by base name. Paths come in the order of their precedence, the last one wins; a file
/// that is named itself counts whatever its layer.
pub fn read(
    paths: &[PathBuf],
    layers: &Layers,
    problems: &mut Problems,
) -> Result<BTreeMap<String, Properties>, LoadError> {
    let mut bases = BTreeMap::<String, Properties>::new();
    for path in paths {
        let unreadable = |source| LoadError::Path { path: path.clone(), source };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            for (base, file) in list(path, layers).map_err(unreadable)? {
                let complain = |problem: io::Error, problems: &mut Problems| {
                    let origin = Origin { file: Arc::from(file.as_path()), line: 0 };
                    problems.note(&origin, format!("cannot be read ({problem}); mend or remove the file"));
                };
                match contents(&file) {
                    Ok(contents) => lay(&mut bases, base, (&file, &contents), problems),
                    Err(problem) => complain(problem, problems),
                }
            }
        } else {
            let (base, _) = split_name(path).ok_or_else(|| LoadError::Kind(path.clone()))?;
            if !metadata.is_file() {
                return Err(LoadError::Kind(path.clone()));
            }
            lay(&mut bases, base, (path, &contents(path).map_err(unreadable)?), problems);
        }
    }
    Ok(bases)
}

fn lay(
    bases: &mut BTreeMap<String, Properties>,
    base: String,
    (file, contents): (&Path, &[u8]),
    problems: &mut Problems,
) {
    bases.entry(base).or_default().lay(&Arc::from(file), contents, problems);
}

/// The files of a directory whose layer counts, lowest first.
fn list(directory: &Path, layers: &Layers) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if let Some((base, layer)) = split_name(&path)
            && let Some(rank) = layers.rank(&layer)
        {
            files.push((rank, base, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, base, path)| (base, path)).collect())
}

/// Reads a regular file of bounded size; anything else could block or grow.
fn contents(file: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(file)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(io::Error::other(format!("larger than {LARGEST_FILE} bytes")));
    }
    fs::read(file)
}

/// `c++.amazon.linux.properties` is the base `c++` and the layer `amazon.linux`; a file may have no layer.
fn split_name(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let name = name.strip_suffix(SUFFIX)?;
    let (base, layer) = name.split_once('.').unwrap_or((name, ""));
    (!base.is_empty()).then(|| (base.to_owned(), layer.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, files: &[(&str, &str)]) {
        for (name, contents) in files {
            fs::write(directory.join(name), contents).unwrap();
        }
    }

    fn layers() -> Layers {
        Layers::order(&["dev".to_owned(), "AMAZON".to_owned()], "linux", "Host7")
    }

    #[test]
    fn layers_go_from_defaults_to_local() {
        assert_eq!(
            layers().0,
            ["defaults", "dev", "amazon", "dev.linux", "amazon.linux", "linux", "host7", "local"]
        );
        assert_eq!(Layers::order(&["local".to_owned()], "linux", "h").rank("local"), Some(5));
    }

    #[test]
    fn each_layer_overrides_the_one_below() {
        let directory = tempfile::tempdir().unwrap();
        let order = ["defaults", "dev", "amazon", "dev.linux", "AMAZON.linux", "linux", "host7", "local"];
        for (index, layer) in order.iter().enumerate() {
            let keys: Vec<String> = (index..order.len()).map(|level| format!("k{level}={index}")).collect();
            let keys = keys.join("\n");
            write(directory.path(), &[(&format!("c++.{layer}.properties"), &keys)]);
        }
        write(
            directory.path(),
            &[
                ("c++.other.properties", "k0=no"),
                ("c++.properties", "k0=no"),
                ("c++.local.txt", "k0=no"),
                (".local.properties", "k0=no"),
                ("compiler-explorer.local.properties", "k=global"),
            ],
        );
        let mut problems = Problems::default();
        let bases = read(&[directory.path().to_owned()], &layers(), &mut problems).unwrap();
        assert_eq!(bases.keys().collect::<Vec<_>>(), ["c++", "compiler-explorer"]);
        for level in 0..order.len() {
            assert_eq!(bases["c++"].find(&format!("k{level}")).unwrap().text, level.to_string());
        }
        assert_eq!(problems.into_vec(), []);
    }

    #[test]
    fn a_named_file_counts_whatever_its_layer_and_over_what_was_named_before() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            &[("c++.local.properties", "a=1\nb=1"), ("c++.x.properties", "b=2"), ("c.properties", "a=3")],
        );
        let file = |name: &str| directory.path().join(name);
        let paths = [directory.path().to_owned(), file("c++.x.properties"), file("c.properties")];
        let bases = read(&paths, &layers(), &mut Problems::default()).unwrap();
        let text = |base: &str, key: &str| bases[base].find(key).unwrap().text.clone();
        assert_eq!([text("c++", "a"), text("c++", "b"), text("c", "a")], ["1", "2", "3"]);
    }

    #[test]
    fn only_a_named_path_can_fail_the_load() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &[("c++.local.properties", "a=1"), ("c++.txt", "")]);
        fs::create_dir(directory.path().join("c.local.properties")).unwrap();
        fs::File::create(directory.path().join("d.local.properties"))
            .unwrap()
            .set_len(LARGEST_FILE + 1)
            .unwrap();
        fs::File::create(directory.path().join("e.local.properties")).unwrap().set_len(LARGEST_FILE).unwrap();
        let mut problems = Problems::default();
        let bases = read(&[directory.path().to_owned()], &layers(), &mut problems).unwrap();
        assert_eq!(bases.keys().collect::<Vec<_>>(), ["c++", "e"]);
        let told = problems.into_vec();
        assert!(
            told[0].to_string().ends_with(
                "c.local.properties:0: cannot be read (not a regular file); mend or remove the file"
            )
        );
        assert!(told[1].to_string().contains("larger than 16777216 bytes"));

        let fails = |name: &str| {
            let paths = [directory.path().join(name)];
            read(&paths, &layers(), &mut Problems::default()).unwrap_err().to_string()
        };
        assert!(fails("nowhere").contains("name an existing directory"));
        assert!(fails("c++.txt").contains("neither a directory nor a regular file"));
        let device = [PathBuf::from("/dev/null")];
        assert!(matches!(read(&device, &layers(), &mut Problems::default()), Err(LoadError::Kind(_))));
    }
}
