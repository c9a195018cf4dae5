//! What compilers say of themselves: their option listings, standards and targets, read leniently.

use crate::compilers::capabilities::OverrideValue;

/// The options a help text lists: the first word of every line that starts with a dash.
#[derive(Debug)]
pub struct Options<'a> {
    text: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Options<'a> {
    /// Reads a help text.
    pub fn read(text: &'a str) -> Self {
        let first_words = text.lines().filter_map(|line| line.split_whitespace().next());
        Self { text, words: first_words.filter(|word| word.starts_with('-')).collect() }
    }

    /// Whether the option `name` is listed. A name ending in `=` takes its value that way; any other stands alone or
    /// before a blank, `=` or `[`.
    pub fn offers(&self, name: &str) -> bool {
        self.words.iter().any(|word| {
            word.strip_prefix(name)
                .is_some_and(|rest| name.ends_with('=') || rest.is_empty() || rest.starts_with(['=', '[']))
        })
    }

    /// Whether `name` itself is listed, with nothing joined to it.
    pub fn offers_apart(&self, name: &str) -> bool {
        self.words.contains(&name)
    }

    /// The values listed one by one, as `-std=c++17` is.
    pub fn values_of(&self, prefix: &str) -> Vec<OverrideValue> {
        let values = self.words.iter().filter_map(|word| word.strip_prefix(prefix));
        // A description may wrap before an option's name; that ends its sentence.
        let values = values.filter(|value| is_plain(value) && !value.ends_with('.'));
        values.map(OverrideValue::plain).collect()
    }

    /// The words under the heading that names `option`, as GCC lists a target's choices; `None` without a heading.
    pub fn choices_of(&self, option: &str) -> Option<Vec<&'a str>> {
        let mut lines = self.text.lines().skip_while(|line| !is_heading(line, option)).peekable();
        lines.peek()?;
        // GCC repeats the heading with the same choices after it.
        let choices =
            lines.skip_while(|line| is_heading(line, option)).take_while(|line| !line.trim().is_empty());
        let words = choices.filter(|line| !line.trim_end().ends_with(':')).flat_map(str::split_whitespace);
        let mut seen = Vec::new();
        words.for_each(|word| {
            if is_plain(word) && !seen.contains(&word) {
                seen.push(word);
            }
        });
        Some(seen)
    }
}

/// The standards in Clang's answer to a wrong one: `note: use 'c++98' or 'c++03' for 'ISO C++ 1998' standard`.
pub fn standards(text: &str) -> Vec<OverrideValue> {
    let notes = text.lines().filter_map(|line| line.trim().strip_prefix("note: use "));
    let described = notes.filter_map(|note| note.split_once(" for '"));
    described
        .flat_map(|(names, rest)| {
            let description = rest.split('\'').next().unwrap_or_default();
            let values = names.split('\'').skip(1).step_by(2).filter(|value| is_plain(value));
            values.map(move |value| OverrideValue::described(value, description))
        })
        .collect()
}

/// The targets Clang was built for: `aarch64 - AArch64 (little endian)` under a heading.
pub fn targets(text: &str) -> Vec<OverrideValue> {
    let rows = text.lines().filter_map(|line| line.split_once(" - "));
    let rows = rows.map(|(value, description)| (value.trim(), description.trim()));
    rows.filter(|(value, _)| is_plain(value))
        .map(|(value, description)| OverrideValue::described(value, description))
        .collect()
}

fn is_heading(line: &str, option: &str) -> bool {
    let line = line.trim();
    line.starts_with("Known ") && line.ends_with(':') && line.contains(&format!("the {option} option"))
        || line == format!("Known valid arguments for {option} option:")
}

/// Whether a value is worth offering: one word as values are written, not a placeholder such as `<arg>`.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-_.:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GCC: &str = "\
The following options are target specific:
  -march=                     Generate code for given CPU.
  -masm=                      Use given assembler dialect.
  -mavx                       Support MMX and -mnot-listed.

  Known assembler dialects (for use with the -masm= option):
    att intel

  Known valid arguments for -march= option:
  Known valid arguments for -march= option:
    i386 x86-64 native
    i386 x86-64 native

  Known valid arguments for -mtune= option:
    generic
  -fdiagnostics-color=[never|always|auto] Colorize diagnostics.
  -fverbose-asm               Add extra commentary to assembler output.
  -std=<standard>             Assume a standard.
  -std=c++03                  Conform to C++03.
                              -std=c++98.
  -std=gnu++17                Conform to C++17.
";

    #[test]
    fn options_are_the_first_words_of_lines() {
        let options = Options::read(GCC);
        for name in ["-march=", "-masm=", "-mavx", "-fdiagnostics-color", "-fverbose-asm", "-std="] {
            assert!(options.offers(name), "{name}");
        }
        for name in ["-mnot-listed", "-mav", "-fdiagnostics", "MMX", "-march", "The"] {
            assert_eq!(options.offers(name), name == "-march", "{name}");
        }
        assert!(options.offers_apart("-mavx"));
        assert!(!options.offers_apart("-march"));
    }

    #[test]
    fn values_are_listed_one_by_one() {
        let options = Options::read(GCC);
        let values: Vec<String> = options.values_of("-std=").into_iter().map(|value| value.value).collect();
        assert_eq!(values, ["c++03", "gnu++17"]);
    }

    #[test]
    fn choices_stand_under_a_heading() {
        let options = Options::read(GCC);
        assert_eq!(options.choices_of("-masm="), Some(vec!["att", "intel"]));
        assert_eq!(options.choices_of("-march="), Some(vec!["i386", "x86-64", "native"]));
        assert_eq!(options.choices_of("-mabi="), None);
        assert_eq!(
            Options::read("  Known valid arguments for -mcpu= option:").choices_of("-mcpu="),
            Some(vec![])
        );
        let aarch64 = "  Known AArch64 ABIs (for use with the -mabi= option):\n    ilp32 lp64\n\n    more";
        assert_eq!(Options::read(aarch64).choices_of("-mabi="), Some(vec!["ilp32", "lp64"]));
    }

    #[test]
    fn clang_names_its_standards() {
        let text = "error: invalid value '' in '-std='\n\
                    note: use 'c17', 'iso9899:2017', or 'c18' for 'ISO C 2017' standard\n\
                    note: use 'c2x' for 'Working Draft' standard\nnote: use other words\n";
        let values: Vec<_> = standards(text).into_iter().map(|value| (value.value, value.name)).collect();
        let pair = |value: &str, name: &str| (value.to_owned(), name.to_owned());
        assert_eq!(
            values,
            [
                pair("c17", "c17: ISO C 2017"),
                pair("iso9899:2017", "iso9899:2017: ISO C 2017"),
                pair("c18", "c18: ISO C 2017"),
                pair("c2x", "c2x: Working Draft"),
            ]
        );
    }

    #[test]
    fn clang_names_its_targets() {
        let text = "  Registered Targets:\n    aarch64    - AArch64 (little endian)\n    x86-64 - 64-bit X86\n <x> - no\n";
        let values: Vec<_> = targets(text).into_iter().map(|value| value.name).collect();
        assert_eq!(values, ["aarch64: AArch64 (little endian)", "x86-64: 64-bit X86"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(-std=|Known |valid arguments for -march= option:|note: use '| for '| - |[ -~\n\u{e9}\u{1f600}\0\r\u{1b}]{0,9}){0,30}") {
            let options = Options::read(&text);
            let values = options.values_of("-std=").into_iter().chain(standards(&text)).chain(targets(&text));
            for value in values {
                prop_assert!(is_plain(&value.value));
            }
            for choice in options.choices_of("-march=").unwrap_or_default() {
                prop_assert!(is_plain(choice));
            }
        }
    }
}
