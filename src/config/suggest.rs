//! The known name that somebody most likely meant.

/// The nearest of `known`, if it is near enough to be worth a question: a third of the letters wrong at most.
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = given.chars().count().max(3) / 3;
    known
        .map(|name| (distance(given, name), name))
        .filter(|(wrong, _)| *wrong <= far)
        .min()
        .map(|(_, name)| name)
}

/// Letters to insert, delete or replace to get from one to the other (Levenshtein), ignoring case.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.to_lowercase(), to.to_lowercase());
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, other) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distances() {
        for (from, to, wrong) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("listen", "listne", 2),
            ("kitten", "sitting", 3),
            ("ABC", "abc", 0),
        ] {
            assert_eq!(distance(from, to), wrong, "{from} to {to}");
            assert_eq!(distance(to, from), wrong, "{to} to {from}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["http.listen", "admin.listen", "log.filter"];
        assert_eq!(nearest("http.lisen", known.into_iter()), Some("http.listen"));
        assert_eq!(nearest("log.fliter", known.into_iter()), Some("log.filter"));
        assert_eq!(nearest("quite.other", known.into_iter()), None);
    }

    proptest! {
        #[test]
        fn a_distance_is_the_same_both_ways(from in "[abA\u{e9}\u{130}\u{1f600}\0]{0,8}", to in "[abA\u{e9}\u{130}\u{1f600}\0]{0,8}") {
            prop_assert_eq!(distance(&from, &to), distance(&to, &from));
            prop_assert_eq!(nearest(&from, [&*from].into_iter()), Some(&*from));
        }
    }
}
