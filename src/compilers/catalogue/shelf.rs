//! The compilers of one language, and how they are found there.

use std::collections::HashMap;
use std::sync::Arc;

use crate::compilers::compiler::Compiler;
use crate::compilers::instruction_set;
use crate::compilers::language::Language;
use crate::domain::ids::LanguageId;

/// The compilers of one language.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) language: &'static Language,
    pub(super) id: LanguageId,
    /// Sorted by name.
    pub(super) compilers: Vec<Arc<Compiler>>,
    by_id: HashMap<Arc<str>, usize>,
    by_alias: HashMap<Arc<str>, usize>,
    pub(super) default: Option<Arc<str>>,
}

impl Shelf {
    /// Without a configured default: a compiler for this machine goes before a cross compiler.
    pub(super) fn first_choice(&self) -> Option<&Arc<Compiler>> {
        let native = instruction_set::of_target(std::env::consts::ARCH);
        let mut compilers = self.compilers.iter();
        compilers.find(|compiler| Some(&*compiler.instruction_set) == native).or(self.compilers.first())
    }

    /// Of two compilers with one identifier the first stays, of two with one alias the first answers to it. So what
    /// was configured goes before what was discovered.
    pub(super) fn fill(
        language: &'static Language,
        id: LanguageId,
        compilers: Vec<Compiler>,
        default: Option<Arc<str>>,
    ) -> Self {
        let mut taken = HashMap::new();
        let mut aliases = HashMap::new();
        let mut kept = Vec::with_capacity(compilers.len());
        for compiler in compilers {
            let id = Arc::<str>::from(compiler.id.as_str());
            if taken.contains_key(&id) {
                continue;
            }
            for alias in &compiler.aliases {
                aliases.entry(Arc::clone(alias)).or_insert_with(|| Arc::clone(&id));
            }
            taken.insert(id, kept.len());
            kept.push(Arc::new(compiler));
        }
        kept.sort_by(|a, b| order(a).cmp(&order(b)));
        let by_id: HashMap<Arc<str>, usize> =
            kept.iter().zip(0..).map(|(compiler, index)| (Arc::from(compiler.id.as_str()), index)).collect();
        let by_alias = aliases.into_iter().map(|(alias, id)| (alias, by_id[&id])).collect();
        Self { language, id, compilers: kept, by_id, by_alias, default }
    }

    pub(super) fn find(&self, id: &str) -> Option<&Arc<Compiler>> {
        let index = self.by_id.get(id).or_else(|| self.by_alias.get(id))?;
        self.compilers.get(*index)
    }
}

/// Listings are sorted by name; equal names by identifier, so that the order never depends on chance.
pub(super) fn order(compiler: &Compiler) -> (&str, &str) {
    (&compiler.name, compiler.id.as_str())
}
