//! What `c++filt -n` 2.40 makes of names, in its own words.

use super::demangle;

#[test]
fn x() {
    assert_eq!(demangle("_Z3foov").as_deref(), Some("foo()"));
}
