//! Splits the user's arguments as Compiler Explorer does. Knows nothing of what they mean.

use crate::text::scan;

/// The arguments in `text`.
///
/// White space separates; a backslash takes the next character literally; single quotes are literal; in double
/// quotes a backslash still takes the next character literally; quoted pieces join the word they touch. A backslash
/// before a line feed vanishes with it. An unfinished quote runs to the end; a backslash at the very end stays.
pub fn split(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('\n') => {}
                next => word.get_or_insert_default().push(next.unwrap_or('\\')),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                word.extend(characters.by_ref().take_while(|&quoted| quoted != '\''));
            }
            '"' => double_quoted(&mut characters, word.get_or_insert_default()),
            space if scan::is_space(space) => arguments.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    arguments.extend(word);
    arguments
}

/// Appends to `word` what stands before the closing quote.
fn double_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) {
    while let Some(character) = characters.next() {
        match character {
            '"' => return,
            '\\' => match characters.next() {
                Some('\n') => {}
                next => word.push(next.unwrap_or('\\')),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splitting() {
        for (sentence, text, expected) in [
            ("white space separates", " -O2\t-g\n-x \u{a0}y ", &["-O2", "-g", "-x", "y"][..]),
            ("nothing gives nothing", " \n ", &[]),
            ("a backslash takes the next character literally", r"a\ b \'c\' \\", &["a b", "'c'", r"\"]),
            ("a backslash-newline pair vanishes", "a\\\nb \\\n c", &["ab", "c"]),
            ("single quotes are literal", r#"'a\b "c' d"#, &[r#"a\b "c"#, "d"]),
            ("a backslash in double quotes", r#""\$a\"b\n""#, &[r#"$a"bn"#]),
            ("backslash-newline in double quotes", "\"a\\\nb\"", &["ab"]),
            ("quoted pieces join", r#"-D'A B'="c d"e"#, &["-DA B=c de"]),
            ("an unfinished single quote", "'a b", &["a b"]),
            ("an unfinished double quote", "x\"a b", &["xa b"]),
            ("a lone trailing backslash stays", r"a \", &["a", r"\"]),
            ("a trailing backslash in double quotes stays", r#""a\"#, &[r"a\"]),
            ("empty quotes are an argument", "'' \"\" a''", &["", "", "a"]),
        ] {
            assert_eq!(split(text), expected, "{sentence}: {text:?}");
        }
    }

    proptest! {
        #[test]
        fn quoting_any_word_gives_it_back(words in prop::collection::vec("[^']*", 0..5)) {
            let text = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&text), words);
        }

        #[test]
        fn never_grows(text in "[ \\\\'\"\na\u{e9}\u{1f600}\u{2003}\0\r\u{1b}]{0,30}") {
            let bytes: usize = split(&text).iter().map(String::len).sum();
            prop_assert!(bytes <= text.len());
        }
    }
}
