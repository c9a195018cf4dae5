//! Every path there is.

use std::borrow::Cow;

use http::Method;

/// What a path asks for. Identifiers are percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Compile(Cow<'a, str>),
    Build { compiler: Cow<'a, str>, system: Cow<'a, str> },
    Noscript,
    PopularArguments(Cow<'a, str>),
    OptimizationArguments(Cow<'a, str>),
    Compilers(Option<Cow<'a, str>>),
    Languages,
    Libraries(Option<Cow<'a, str>>),
    Tools(Cow<'a, str>),
    Version,
    ReleaseBuild,
    Healthcheck,
    Health,
    Live,
    Ready,
    ClearCache,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    /// Nothing there.
    #[error("no such path")]
    Path,
    /// It names an environment that is not ours.
    #[error("no such environment")]
    Environment,
}

impl<'a> Route<'a> {
    /// Finds what `path` asks for: whatever the case of the fixed words, doubled or trailing slashes do not matter,
    /// and the name of our environment may stand before `/api`.
    pub(super) fn find(path: &'a str, environment: Option<&str>) -> Result<Self, Lost> {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.len() > 1 && is(parts[1], "api") && !is(parts[0], "api") {
            if environment != Some(parts[0]) {
                return Err(Lost::Environment);
            }
            parts.remove(0);
        }
        match parts.as_slice() {
            [first, rest @ ..] if is(first, "api") => Self::find_api(rest),
            [one] if is(one, "healthcheck") => Ok(Self::Healthcheck),
            [one] if is(one, "health") => Ok(Self::Health),
            [one, two] if is(one, "health") && is(two, "live") => Ok(Self::Live),
            [one, two] if is(one, "health") && is(two, "ready") => Ok(Self::Ready),
            [one, two] if is(one, "admin") && is(two, "clear-cache") => Ok(Self::ClearCache),
            _ => Err(Lost::Path),
        }
    }

    fn find_api(parts: &[&'a str]) -> Result<Self, Lost> {
        let (first, rest) = parts.split_first().ok_or(Lost::Path)?;
        match (first.to_ascii_lowercase().as_str(), rest) {
            ("compiler", [id, verb]) if is(verb, "compile") => Ok(Self::Compile(decode(id)?)),
            ("compiler", [id, verb]) if is(verb, "cmake") => {
                Ok(Self::Build { compiler: decode(id)?, system: Cow::Borrowed("cmake") })
            }
            ("compiler", [id, verb, system]) if is(verb, "build") => {
                Ok(Self::Build { compiler: decode(id)?, system: decode(system)? })
            }
            ("noscript", [verb]) if is(verb, "compile") => Ok(Self::Noscript),
            ("populararguments", [id]) => Ok(Self::PopularArguments(decode(id)?)),
            ("optimizationarguments", [id]) => Ok(Self::OptimizationArguments(decode(id)?)),
            ("compilers", []) => Ok(Self::Compilers(None)),
            ("compilers", [language]) => Ok(Self::Compilers(Some(decode(language)?))),
            ("languages", []) => Ok(Self::Languages),
            ("libraries", []) => Ok(Self::Libraries(None)),
            ("libraries", [language]) => Ok(Self::Libraries(Some(decode(language)?))),
            ("tools", [language]) => Ok(Self::Tools(decode(language)?)),
            ("version", []) => Ok(Self::Version),
            ("releasebuild", []) => Ok(Self::ReleaseBuild),
            _ => Err(Lost::Path),
        }
    }

    /// The name in logs and metrics.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Compile(_) => "compile",
            Self::Build { .. } => "build",
            Self::Noscript => "noscript",
            Self::PopularArguments(_) => "popular_arguments",
            Self::OptimizationArguments(_) => "optimization_arguments",
            Self::Compilers(_) => "compilers",
            Self::Languages => "languages",
            Self::Libraries(_) => "libraries",
            Self::Tools(_) => "tools",
            Self::Version => "version",
            Self::ReleaseBuild => "release_build",
            Self::Healthcheck => "healthcheck",
            Self::Health => "health",
            Self::Live => "health_live",
            Self::Ready => "health_ready",
            Self::ClearCache => "clear_cache",
        }
    }

    /// The methods it answers to, as an `Allow` header has them.
    pub(super) const fn methods(&self) -> &'static str {
        match self {
            Self::Compile(_) | Self::Build { .. } | Self::Noscript | Self::ClearCache => "POST, OPTIONS",
            Self::PopularArguments(_) | Self::OptimizationArguments(_) | Self::Healthcheck => {
                "GET, HEAD, POST, OPTIONS"
            }
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether it answers to `method`.
    pub(super) fn takes(&self, method: &Method) -> bool {
        self.methods().split(", ").any(|known| known == method.as_str())
    }

    /// Whether it belongs to the compile API, whose errors have a shape of their own.
    pub(super) const fn compiles(&self) -> bool {
        matches!(self, Self::Compile(_) | Self::Build { .. } | Self::Noscript)
    }

    /// Whether it is part of the public interface.
    pub(super) const fn is_api(&self) -> bool {
        !matches!(self, Self::Healthcheck | Self::Health | Self::Live | Self::Ready | Self::ClearCache)
    }

    /// The compiler it names.
    pub(super) fn compiler(&self) -> Option<&str> {
        match self {
            Self::Compile(id)
            | Self::Build { compiler: id, .. }
            | Self::PopularArguments(id)
            | Self::OptimizationArguments(id) => Some(id),
            _ => None,
        }
    }
}

fn is(part: &str, word: &str) -> bool {
    part.eq_ignore_ascii_case(word)
}

/// Decodes one segment; one that is no text leads nowhere.
fn decode(segment: &str) -> Result<Cow<'_, str>, Lost> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
            let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            value.ok_or(Lost::Path)?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Lost::Path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths() {
        let find = |path| Route::find(path, Some("prod"));
        let g132 = || Cow::Borrowed("g132");
        for path in [
            "/api/compiler/g132/compile",
            "/API/Compiler/g132/COMPILE/",
            "///api/compiler///g132/compile///",
            "/prod/api/compiler/g132/compile",
            "/api/compiler/%67132/compile",
        ] {
            assert_eq!(find(path), Ok(Route::Compile(g132())), "{path}");
        }
        assert_eq!(
            find("/api/compiler/g132/cmake"),
            Ok(Route::Build { compiler: g132(), system: "cmake".into() })
        );
        assert_eq!(
            find("/api/compiler/g132/build/make"),
            Ok(Route::Build { compiler: g132(), system: "make".into() })
        );
        assert_eq!(find("/api/compilers/c%2B%2b"), Ok(Route::Compilers(Some("c++".into()))));
        assert_eq!(find("/api/compilers/c++"), Ok(Route::Compilers(Some("c++".into()))));
        assert_eq!(find("/health/live/"), Ok(Route::Live));
        assert_eq!(find("/staging/api/compiler/g132/compile"), Err(Lost::Environment));
        assert_eq!(Route::find("/prod/api/version", None), Err(Lost::Environment));
        for path in [
            "/",
            "/api",
            "/api/compiler/g1",
            "/a/b/api/compiler/g/compile",
            "/prod/healthcheck",
            "/api/compiler/%ff/compile",
            "/api/compiler/%4/compile",
            "/health/dead",
        ] {
            assert_eq!(find(path), Err(Lost::Path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_answered(path in "[/a-c%0-9]{0,40}|/api/compiler/\\PC{0,9}/compile") {
            let _answered = Route::find(&path, Some("a")).is_ok();
        }
    }
}
