//! The catalogue: one immutable snapshot of every compiler, loaded without running any.

mod shelf;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use crate::compilers::catalogue::shelf::{Shelf, order};
use crate::compilers::compiler::Compiler;
use crate::compilers::discovery;
use crate::compilers::entry::Shop;
use crate::compilers::groups::Expansion;
use crate::compilers::language::Language;
use crate::compilers::layers::{self, Layers, LoadError};
use crate::compilers::option_rules::OptionRules;
use crate::compilers::problems::{Problem, Problems};
use crate::compilers::properties::{Properties, quote};
use crate::compilers::settings::{Key, Owned, Settings};
use crate::domain::ids::LanguageId;

/// The base name whose properties hold for every language.
const EVERYBODY: &str = "compiler-explorer";

/// Where compilers come from.
#[derive(Debug, Clone, Default)]
pub struct CatalogueSettings {
    /// Directories of `*.properties` files, or such files; the last one wins.
    pub files: Vec<PathBuf>,
    /// Whether compilers that nobody configured are looked for too.
    pub discover: bool,
    /// The directories of `PATH`.
    pub search_path: Vec<PathBuf>,
    /// The layers between `defaults` and the platform, lowest first.
    pub environments: Vec<String>,
    /// What a job can read; empty for everything.
    pub readable: Vec<PathBuf>,
}

/// A catalogue, and what was wrong with its files.
#[derive(Debug)]
pub struct Loaded {
    /// The compilers that are left.
    pub catalogue: Catalogue,
    /// What was skipped, and why.
    pub problems: Vec<Problem>,
}

/// Every compiler, by language.
#[derive(Debug, Default)]
pub struct Catalogue {
    shelves: Vec<Shelf>,
}

/// A language that compilers exist for.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// What is known of it.
    pub language: &'static Language,
    /// The compiler a client should start with (`defaultCompiler`).
    pub default_compiler: Option<&'a str>,
}

impl Catalogue {
    /// Loads the catalogue. Broken lines and entries are problems, never failures; only a path that was named and
    /// cannot be read is.
    pub fn load(settings: &CatalogueSettings) -> Result<Loaded, LoadError> {
        let mut problems = Problems::default();
        let system = rustix::system::uname();
        let layers =
            Layers::order(&settings.environments, std::env::consts::OS, &system.nodename().to_string_lossy());
        let bases = layers::read(&settings.files, &layers, &mut problems)?;
        let mut discovered = if settings.discover {
            discovery::discover(&settings.search_path, std::env::consts::ARCH)
        } else {
            BTreeMap::new()
        };
        report_unsupported(&bases, &mut problems);
        let mut shelves = Vec::new();
        for language in Language::compiled() {
            let Ok(language_id) = LanguageId::parse(language.id) else { continue };
            let (own, shared) = (bases.get(language.id), bases.get(EVERYBODY));
            let files: Vec<&Properties> = own.into_iter().chain(shared).collect();
            let mut shop = Shop {
                language,
                language_id: language_id.clone(),
                rules: Arc::new(OptionRules::read(&files, &mut problems)),
                search_path: &settings.search_path,
                readable: &settings.readable,
                texts: HashMap::new(),
                expressions: HashMap::new(),
            };
            let mut compilers = Vec::new();
            if let Some(own) = own {
                compilers = stock(&mut shop, own, shared, &mut problems);
            }
            let found = discovered.remove(language.id);
            if let Some(found) = &found {
                compilers.extend(stock(&mut shop, found, None, &mut problems));
            }
            let default = files.iter().find_map(|base| base.find("defaultCompiler"));
            let default = default.map(|property| Arc::from(property.text.as_str()));
            shelves.push(Shelf::fill(language, language_id, compilers, default));
        }
        Ok(Loaded { catalogue: Self { shelves }, problems: problems.into_vec() })
    }

    /// The compiler called `id`: in `language` by identifier, then there by alias, then in every language.
    pub fn find(&self, language: Option<&LanguageId>, id: &str) -> Option<Arc<Compiler>> {
        let preferred = self.shelves.iter().filter(|shelf| Some(&shelf.id) == language);
        let compiler = preferred.chain(&self.shelves).find_map(|shelf| shelf.find(id))?;
        Some(Arc::clone(compiler))
    }

    /// The compilers of `language`, or of all languages; sorted by name.
    pub fn compilers(&self, language: Option<&str>) -> impl Iterator<Item = &Arc<Compiler>> {
        let shelves = self.shelves.iter().filter(|shelf| language.is_none_or(|id| shelf.language.id == id));
        let mut compilers: Vec<&Arc<Compiler>> = shelves.flat_map(|shelf| &shelf.compilers).collect();
        compilers.sort_by(|a, b| order(a).cmp(&order(b)));
        compilers.into_iter()
    }

    /// The languages that have compilers.
    pub fn languages(&self) -> impl Iterator<Item = Listed<'_>> {
        self.shelves.iter().filter(|shelf| !shelf.compilers.is_empty()).map(|shelf| Listed {
            language: shelf.language,
            default_compiler: shelf
                .default
                .as_deref()
                .filter(|id| shelf.find(id).is_some())
                .or_else(|| shelf.first_choice().map(|compiler| compiler.id.as_str())),
        })
    }

    /// How many compilers there are.
    pub fn len(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.compilers.len()).sum()
    }

    /// Whether there is no compiler at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Makes every compiler that `own` lists.
fn stock(
    shop: &mut Shop<'_>,
    own: &Properties,
    shared: Option<&Properties>,
    problems: &mut Problems,
) -> Vec<Compiler> {
    let owned = Owned::sort(own);
    let outside = shared.map_or(Settings::NONE, |shared| Settings::NONE.under(shared));
    let mut compilers = Vec::new();
    for listed in Expansion::run(&outside.under(own), &owned, problems) {
        match shop.make(&listed, problems) {
            Ok(compiler) => compilers.push(compiler),
            Err((origin, message)) => problems.note(&origin, message),
        }
    }
    compilers
}

/// Says once per language that its compilers are left out.
fn report_unsupported(bases: &BTreeMap<String, Properties>, problems: &mut Problems) {
    for (base, properties) in bases {
        if base != EVERYBODY
            && Language::find(base).is_none()
            && let Some(list) = properties.find(Key::Compilers.name())
            && !list.text.is_empty()
        {
            let message =
                format!("the language {} is not supported; its compilers are left out", quote(base));
            problems.note(&list.origin, message);
        }
    }
}

#[cfg(test)]
mod tests;
