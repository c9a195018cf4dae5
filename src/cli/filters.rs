//! Filter names on the command line: the same names as in the API's JSON.

use crate::config::suggest::nearest;
use crate::domain::filters::Filters;

/// Reads `labels,directives`: exactly these switches are on, all others off.
pub(super) fn parse(list: &str) -> Result<Filters, String> {
    let mut filters = Filters::NONE;
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !filters.set(name, true) {
            let near = nearest(name, Filters::NAMES.into_iter());
            let hint = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            return Err(format!("there is no filter {name:?}{hint}; filters are {}", Filters::NAMES.join(", ")));
        }
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_exact() {
        assert_eq!(parse("").unwrap(), Filters::NONE);
        let both = Filters { labels: true, library_code: true, ..Filters::NONE };
        assert_eq!(parse("labels, libraryCode,").unwrap(), both);
        let error = parse("labels,librarycode").unwrap_err();
        assert!(error.starts_with("there is no filter \"librarycode\" (did you mean libraryCode?); filters are binary, "));
        assert!(error.contains("commentOnly"), "{error}");
    }
}
