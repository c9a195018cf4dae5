//! From `compilers=a:&g:...` to the list of compilers, each with the settings of the groups it was found in.

use std::collections::HashSet;

use crate::compilers::problems::Problems;
use crate::compilers::properties::{Origin, quote};
use crate::compilers::settings::{Key, Owned, Settings};

/// How deep groups may nest. Compiler Explorer's go three deep.
pub const DEEPEST_GROUP: usize = 32;

/// A compiler as a list names it.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Its identifier.
    pub id: &'a str,
    /// The innermost group that lists it; empty if the language does.
    pub group: &'a str,
    /// Everything that holds for it.
    pub settings: Settings<'a>,
    /// Where the list stands.
    pub origin: &'a Origin,
}

/// Expands one language's list. Each group is opened once, so that neither a cycle nor a lattice of groups can make
/// the list longer than its files.
#[derive(Debug)]
pub struct Expansion<'a, 'p> {
    owned: &'p Owned<'a>,
    problems: &'p mut Problems,
    opened: HashSet<&'a str>,
    named: HashSet<&'a str>,
    path: Vec<&'a str>,
    found: Vec<Listed<'a>>,
}

impl<'a, 'p> Expansion<'a, 'p> {
    /// The compilers that `language`'s settings list, in the list's order.
    pub fn run(language: &Settings<'a>, owned: &'p Owned<'a>, problems: &'p mut Problems) -> Vec<Listed<'a>> {
        let mut expansion = Self {
            owned,
            problems,
            opened: HashSet::new(),
            named: HashSet::new(),
            path: Vec::new(),
            found: Vec::new(),
        };
        expansion.expand(language, "");
        expansion.found
    }

    fn expand(&mut self, settings: &Settings<'a>, group: &'a str) {
        let Some(list) = settings.find(Key::Compilers) else { return };
        for element in list.text.split(':').map(str::trim).filter(|element| !element.is_empty()) {
            if let Some(inner) = element.strip_prefix('&') {
                if let Err(complaint) = self.open(settings, inner) {
                    self.problems.note(&list.origin, complaint);
                }
            } else if element.contains('@') {
                let complaint = format!(
                    "the remote compiler {} is not supported; remove it from the list",
                    quote(element)
                );
                self.problems.note(&list.origin, complaint);
            } else if self.named.insert(element) {
                self.found.push(Listed {
                    id: element,
                    group,
                    settings: settings.with(self.owned.compiler(element)),
                    origin: &list.origin,
                });
            } else {
                let complaint = format!("the compiler {} is listed twice; list it once", quote(element));
                self.problems.note(&list.origin, complaint);
            }
        }
    }

    fn open(&mut self, outer: &Settings<'a>, group: &'a str) -> Result<(), String> {
        let name = quote(group);
        if self.path.contains(&group) {
            return Err(format!("the group {name} contains itself; remove `&{group}` from its list"));
        }
        let own = self.owned.group(group).filter(|own| own.iter().any(|(key, _)| *key == Key::Compilers));
        let own = own.ok_or_else(|| {
            format!("there is no group {name}; define `group.{group}.compilers` or remove `&{group}`")
        })?;
        if !self.opened.insert(group) {
            return Err(format!("the group {name} is listed twice; list it once"));
        }
        if self.path.len() == DEEPEST_GROUP {
            return Err(format!(
                "the group {name} is nested deeper than {DEEPEST_GROUP}; flatten the groups"
            ));
        }
        self.path.push(group);
        self.expand(&outer.with(own), group);
        self.path.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compilers::properties::Properties;
    use std::fmt::Write as _;
    use std::path::Path;
    use std::sync::Arc;

    /// `id/group=options` of each compiler, and the problems.
    fn expand(contents: &str) -> (Vec<String>, Vec<String>) {
        let mut problems = Problems::default();
        let mut properties = Properties::default();
        properties.lay(&Arc::from(Path::new("f")), contents.as_bytes(), &mut problems);
        let owned = Owned::sort(&properties);
        let language = Settings::NONE.under(&properties);
        let found = Expansion::run(&language, &owned, &mut problems)
            .iter()
            .map(|listed| format!("{}/{}={}", listed.id, listed.group, listed.settings.text(Key::Options)))
            .collect();
        (found, problems.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_list_names_compilers_and_groups_in_order() {
        let (found, problems) = expand(
            "compilers=a:&g: b :\noptions=L\n\
             group.g.compilers=c:&h:d\ngroup.g.options=G\n\
             group.h.compilers=e:f\ngroup.h.options=H\n\
             compiler.f.options=F\ncompiler.a.options=A\n",
        );
        assert_eq!(found, ["a/=A", "c/g=G", "e/h=H", "f/h=F", "d/g=G", "b/=L"]);
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn a_group_passes_on_what_it_does_not_set() {
        let (found, _) =
            expand("compilers=&g\noptions=L\ngroup.g.compilers=&h\ngroup.g.options=G\ngroup.h.compilers=a");
        assert_eq!(found, ["a/h=G"]);
        assert_eq!(expand("options=L").0, [""; 0]);
    }

    #[test]
    fn broken_lists_are_reported_and_the_rest_stands() {
        let (found, problems) = expand(
            "compilers=a:&nope:&g:a:&g:far.away@443/x:&bare\n\
             group.g.compilers=b:&h:c\n\
             group.h.compilers=d:&g:&h\n\
             group.bare.options=-O1\n",
        );
        assert_eq!(found, ["a/=", "b/g=", "d/h=", "c/g="]);
        assert_eq!(
            problems,
            [
                "f:1: there is no group `nope`; define `group.nope.compilers` or remove `&nope`",
                "f:3: the group `g` contains itself; remove `&g` from its list",
                "f:3: the group `h` contains itself; remove `&h` from its list",
                "f:1: the compiler `a` is listed twice; list it once",
                "f:1: the group `g` is listed twice; list it once",
                "f:1: the remote compiler `far.away@443/x` is not supported; remove it from the list",
                "f:1: there is no group `bare`; define `group.bare.compilers` or remove `&bare`",
            ]
        );
    }

    #[test]
    fn groups_nest_to_a_limit() {
        let chain = |depth: usize| {
            let mut text = "compilers=&g1\n".to_owned();
            for level in 1..depth {
                writeln!(text, "group.g{level}.compilers=&g{}", level + 1).unwrap();
            }
            writeln!(text, "group.g{depth}.compilers=deep").unwrap();
            expand(&text)
        };
        assert_eq!(chain(32), (vec!["deep/g32=".to_owned()], vec![]));
        let (found, problems) = chain(33);
        assert_eq!(found, [""; 0]);
        assert_eq!(problems, ["f:33: the group `g33` is nested deeper than 32; flatten the groups"]);
        assert_eq!(chain(100_000).1.len(), 1);
    }

    #[test]
    fn a_lattice_of_groups_stays_small() {
        let mut text = "compilers=&g1:&g1\n".to_owned();
        for level in 1..30 {
            writeln!(text, "group.g{level}.compilers=&g{0}:&g{0}", level + 1).unwrap();
        }
        text.push_str("group.g30.compilers=a\n");
        let (found, problems) = expand(&text);
        assert_eq!(found, ["a/g30="]);
        assert_eq!(problems.len(), 30);
    }
}
